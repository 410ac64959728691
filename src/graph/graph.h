// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graph/attributes.h"
#include "tensor/tensor.h"

namespace batchwise {

// Indices into Graph::values and Graph::nodes; kNone where there is none.
enum class ValueId : std::int32_t {};
enum class NodeId : std::int32_t {};
inline constexpr ValueId kNoValue{-1};
inline constexpr NodeId kNoNode{-1};
constexpr std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }
constexpr std::size_t index(NodeId id) { return static_cast<std::size_t>(id); }

enum class ValueKind : std::uint8_t {
  kInput,     // given anew at every run
  kConstant,  // known at load
  kState,     // lives across runs and may be changed by them: parameters, moments, accumulators
  kComputed,  // the output of a node
};

// How the elements of a value lie in memory. Shapes are always ONNX's (N, C, ...).
enum class Layout : std::uint8_t { kRowMajor, kChannelsLast };

// Which axis counts samples: dimension `axis` is batch x block, sample by sample. axis -1: none,
// the value is the same for every sample.
struct BatchAxis {
  int axis = -1;
  std::int64_t block = 1;
  bool operator==(const BatchAxis&) const = default;
};

struct TensorType {
  DType dtype = DType::kUndefined;
  Shape shape;
};

struct Value {
  std::string name;
  TensorType type;
  ValueKind kind = ValueKind::kComputed;
  Layout layout = Layout::kRowMajor;
  BatchAxis batch;  // of inputs: declared; of others: filled by carry_batch()
  NodeId producer = kNoNode;
  std::optional<Tensor> constant;  // of kConstant; of kState its initial value, where there is one
};

// What a kernel does to its result before it is stored: + residual, then an activation.
struct Epilogue {
  int residual_input = -1;    // index into Node::inputs
  std::string activation;     // "", "Relu", "LeakyRelu", "Clip"
  float alpha = 0, beta = 0;  // LeakyRelu: slope; Clip: min, max
  bool empty() const { return residual_input < 0 && activation.empty(); }
};

struct Node {
  std::string name;
  std::string op;               // the name of an OpDef row
  std::vector<ValueId> inputs;  // kNoValue where an optional input is absent
  std::vector<ValueId> outputs;
  Attributes attributes;
  Epilogue epilogue;
  bool has_effect = false;  // kept although nothing uses its outputs (it changes a state)
};

// A model as data: values and nodes in vectors, nodes in an order in which they can run. All shapes
// are concrete; the batch is the dimension that the inputs' BatchAxis names, and passes/bind_batch
// makes the same graph for another one.
struct Graph {
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::string name;
  std::map<std::string, std::string> metadata;

  Value& value(ValueId id) { return values[index(id)]; }
  const Value& value(ValueId id) const { return values[index(id)]; }
  Node& node(NodeId id) { return nodes[index(id)]; }
  const Node& node(NodeId id) const { return nodes[index(id)]; }
  const TensorType& type(ValueId id) const { return value(id).type; }
  const Shape& shape(ValueId id) const { return value(id).type.shape; }

  ValueId add_value(Value value);
  ValueId add_input(std::string name, TensorType type, BatchAxis batch = {});
  ValueId add_constant(std::string name, Tensor tensor);
  ValueId add_state(std::string name, TensorType type, std::optional<Tensor> initial = {});
  // Appends a node whose outputs are new values of unknown type; ops/builder.h infers types.
  NodeId add_node(Node node, int num_outputs);
  // The first value of that name, or kNoValue.
  ValueId find(const std::string& name) const;
  // Makes every node and graph output that uses `from` use `to`.
  void replace_uses(ValueId from, ValueId to);
  // Nodes that use a value, in order; a graph output is not a use.
  std::vector<NodeId> consumers(ValueId id) const;
  std::vector<int> use_counts() const;  // by value; a graph output counts as one use
  bool is_output(ValueId id) const;
};

// Throws InternalError where the structure is broken: ids out of range, a value with two producers,
// a node that uses a value made later, a constant without its tensor.
void verify(const Graph& graph);

// Orders nodes so that each comes after what it uses. Throws Error naming a node on a cycle.
void sort_nodes(Graph& graph);

// Removes nodes whose outputs nothing uses (keeping those that `has_effect` names) and values that
// nothing refers to; ids change. Returns whether anything was removed.
bool remove_dead(Graph& graph, bool (*has_effect)(const Node&));

// What the graph's tables and names take on the heap, as the C library's allocator rounds it; the
// bytes of tensors are not among it.
std::int64_t heap_bytes(const Graph& graph);

// One line a node: "%out: float32[2, 10] = Gemm(%x, %w, %b) {transB=1}".
std::string to_string(const Graph& graph);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace batchwise {

class GraphBuilder;

// What a row's functions see of a node: its attributes and the types (and, where known, values) of
// its inputs. Inputs that are absent have type kUndefined.
class NodeView {
 public:
  NodeView(const Graph& graph, const Node& node) : graph_(&graph), node_(&node) {}

  const Graph& graph() const { return *graph_; }
  const Node& node() const { return *node_; }
  const Attributes& attributes() const { return node_->attributes; }
  int num_inputs() const { return static_cast<int>(node_->inputs.size()); }
  int num_outputs() const { return static_cast<int>(node_->outputs.size()); }
  bool has_input(int i) const {
    return i < num_inputs() && node_->inputs[static_cast<std::size_t>(i)] != kNoValue;
  }
  bool has_output(int i) const {
    return i < num_outputs() && node_->outputs[static_cast<std::size_t>(i)] != kNoValue;
  }
  ValueId input_id(int i) const { return node_->inputs[static_cast<std::size_t>(i)]; }
  ValueId output_id(int i) const { return node_->outputs[static_cast<std::size_t>(i)]; }
  // Requires: has_input(i) / has_output(i).
  const Value& input_value(int i) const { return graph_->value(input_id(i)); }
  const Value& output_value(int i) const { return graph_->value(output_id(i)); }
  const Shape& input(int i) const { return input_value(i).type.shape; }
  const Shape& output(int i) const { return output_value(i).type.shape; }
  DType input_dtype(int i) const { return input_value(i).type.dtype; }
  // The value of a constant input, or null.
  const Tensor* constant(int i) const {
    if (!has_input(i)) return nullptr;
    const Value& value = input_value(i);
    return value.kind == ValueKind::kConstant ? &*value.constant : nullptr;
  }
  // The integers of an input that is constant or follows from shapes. Throws Error naming the node
  // where it is neither.
  std::vector<std::int64_t> constant_int64s(int i) const;
  // "Conv 'conv1'", for messages.
  std::string where() const;
  // attributes().get_int("axis", fallback), made non-negative. Throws Error where out of range.
  int axis(const std::string& attribute, std::int64_t fallback, int rank) const;

 private:
  const Graph* graph_;
  const Node* node_;
};

// Whether each sample's part of an output depends on that sample's part of the inputs alone.
struct BatchCarry {
  std::vector<BatchAxis> outputs;  // one an output
  std::string mixes;               // why samples are mixed; empty where they are not
};

// Builds the gradient of one node. For each wanted input i, set(i, value) with a value of the shape
// of that input. Inputs of an op whose gradient sums over samples (weights, biases) must get the
// output of a node whose row is `accumulates`, so that it can be summed sample by sample.
class GradientContext {
 public:
  GradientContext(GraphBuilder& graph_builder, NodeView view, std::vector<ValueId> grad_outputs,
                  std::vector<bool> wanted)
      : build(graph_builder),
        view_(view),
        grad_outputs_(std::move(grad_outputs)),
        wanted_(std::move(wanted)),
        results_(wanted_.size(), kNoValue) {}

  GraphBuilder& build;
  // The node: copies, because building adds to the graph's vectors.
  const Node& node() const { return node_copy_; }
  ValueId input(int i) const { return node_copy_.inputs[static_cast<std::size_t>(i)]; }
  ValueId output(int i) const { return node_copy_.outputs[static_cast<std::size_t>(i)]; }
  bool has_input(int i) const {
    return i < static_cast<int>(node_copy_.inputs.size()) && input(i) != kNoValue;
  }
  // The gradient of output i; kNoValue where nothing depends on it.
  ValueId grad_output(int i = 0) const { return grad_outputs_[static_cast<std::size_t>(i)]; }
  bool wants(int i) const {
    return i < static_cast<int>(wanted_.size()) && wanted_[static_cast<std::size_t>(i)];
  }
  void set(int i, ValueId gradient) { results_[static_cast<std::size_t>(i)] = gradient; }
  const std::vector<ValueId>& results() const { return results_; }
  const Shape& shape(ValueId id) const { return view_.graph().shape(id); }

 private:
  NodeView view_;
  Node node_copy_ = view_.node();
  std::vector<ValueId> grad_outputs_;
  std::vector<bool> wanted_;
  std::vector<ValueId> results_;
};

enum class AttributeType : std::uint8_t { kInt, kFloat, kString, kInts, kFloats, kTensor };

struct AttributeDef {
  std::string_view name;
  AttributeType type;
  bool required = false;
};

// All that is known of an op, in one row. Passes, planner, autodiff and report ask the row; no
// other place lists ops. Functions may be null where the comment says so.
struct OpDef {
  std::string_view name;
  std::string_view doc;  // one line
  int min_opset = 1;     // of ONNX; 0: internal, never read from or written to a file
  int min_inputs = 1;
  int max_inputs = 1;   // -1: any number
  int num_outputs = 1;  // the most it can have
  std::span<const AttributeDef> attributes;

  // Returns the types of the outputs. Throws Error (kInvalidInput) where inputs do not fit.
  std::vector<TensorType> (*infer)(const NodeView&) = nullptr;
  // Carries the batch axis from inputs (`batch[i]`, axis -1 where input i is the same for every
  // sample) to outputs. Called with the output types known.
  BatchCarry (*carry)(const NodeView&, std::span<const BatchAxis> batch) = nullptr;
  // Null: not differentiable.
  void (*gradient)(GradientContext&) = nullptr;
  // Multiply-adds count two. Null: 0.
  double (*flops)(const NodeView&) = nullptr;
  // Makes attributes or constant inputs free of a batch of 1 that was burnt into them: returns the
  // replacement of constant input i, where one is needed. Null: nothing is burnt in.
  std::optional<Tensor> (*free_batch)(const NodeView&, std::span<const BatchAxis> batch,
                                      int input) = nullptr;

  std::uint32_t parameter_inputs = 0;  // bit i: input i is a parameter that `fit` may train
  std::uint32_t statistic_inputs = 0;  // bit i: input i is a running statistic
  bool elementwise = false;            // output element = f(the inputs' broadcast elements)
  bool commutative = false;
  std::uint32_t in_place_inputs = 0;  // bit i: output 0 may take over input i's memory
  // Output o is input i changed in place (a state): pairs, bit i of updates[o].
  std::span<const int> updates;  // updates[o]: the input that output o overwrites, or -1
  // The op sums over samples in their order; its last input (optional) is an accumulator from which
  // the sum continues and whose memory the output takes over.
  bool accumulates = false;
  bool has_effect = false;  // must run although nothing uses its outputs
  bool view = false;        // output 0 has the bytes of input 0, under another shape
};

// The row of an op, or null.
const OpDef* find_op(std::string_view name);
// The row. Throws Error naming the op where there is none.
const OpDef& op_row(std::string_view name);
// All rows, family by family.
std::span<const OpDef* const> all_ops();

// Infers the types of a node's outputs into the graph. Throws Error naming the node.
void infer_node(Graph& graph, NodeId id);
// Checks that each node agrees with its row: arity, attributes, inferred types. InternalError else.
void verify_ops(const Graph& graph);
// Fills Value::batch of every value from the inputs'. Returns the first mixing node's message, or
// an empty string. Values after a mix get axis -1.
std::string carry_batch(Graph& graph);
bool node_has_effect(const Node& node);
double node_flops(const Graph& graph, const Node& node);

}  // namespace batchwise

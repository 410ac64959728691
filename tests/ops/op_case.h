// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/kernel.h"
#include "graph/graph.h"

// Op cases: for each op row some nodes, on small tensors, that are run as a gradient against finite
// differences, as fast kernels against the reference, and against the row's batch rule.
namespace batchwise::op_cases {

enum class InputRole : std::uint8_t {
  kAbsent,
  kActivation,  // an input of the graph: axis 0 counts samples
  kWeight,      // a state: parameters, moments, accumulators
  kConstant,    // known at load: axes, shapes, bounds
};

struct CaseInput {
  InputRole role = InputRole::kAbsent;
  DType dtype = DType::kFloat32;  // kFloat32: the float type that the case is run in
  Shape shape;
  double low = -1.5, high = 1.5;       // floats are spread over [low, high], each different
  std::vector<std::int64_t> integers;  // of other types: the elements
  bool differentiable = true;          // of floats
};

CaseInput floats(Shape shape, double low = -1.5, double high = 1.5);
CaseInput weight(Shape shape, double low = -1.0, double high = 1.0);
CaseInput constant(Shape shape, double low, double high);
CaseInput integers(Shape shape, std::vector<std::int64_t> values, DType dtype = DType::kInt64);
CaseInput int64s(const std::vector<std::int64_t>& values);  // a constant vector
CaseInput absent();
CaseInput not_differentiated(CaseInput input);

struct OpCase {
  std::string label;  // what is special about it
  std::vector<CaseInput> inputs;
  Attributes attributes;
  int num_outputs = 1;
  int seeded_outputs = 1;  // the first so many get a gradient
  RunState state = {.seed = 7, .step = 3};
  bool accumulate = false;
  bool samples = true;  // the activations have the batch as axis 0
};

// The cases of one op row.
struct OpCases {
  std::string_view op;
  std::vector<OpCase> cases;
};

std::vector<OpCases> elementwise_cases();
std::vector<OpCases> shape_cases();
std::vector<OpCases> layer_cases();
std::vector<OpCases> training_cases();
std::vector<OpCases> all_cases();

// A case as a graph of one node, with its tensors.
struct CaseGraph {
  std::string name;  // "Conv: strides"
  Graph graph;
  NodeId node = kNoNode;
  std::vector<Tensor> inputs;  // of graph.inputs
  std::vector<ValueId> wrt;    // floats whose gradient is checked
  RunState state;

  // The values of all nodes' outputs; tensors of others are their given ones.
  std::vector<Tensor> run() const;
};

// `floating`: kFloat32 or kFloat64.
CaseGraph build_case(std::string_view op, const OpCase& op_case, DType floating);

// Appends the gradient of sum(output * r), r a further input, for the seeded outputs. Returns for
// each wrt the contributions to its gradient; nothing where the op is not differentiable.
std::vector<std::vector<ValueId>> add_case_gradients(CaseGraph& case_graph, int seeded_outputs);

// Elements of a float tensor, widened.
std::vector<double> to_doubles(const Tensor& tensor);

}  // namespace batchwise::op_cases

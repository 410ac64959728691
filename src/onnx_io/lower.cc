// SPDX-License-Identifier: Apache-2.0
#include "onnx_io/lower.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace batchwise::onnx_io {
namespace {

using Lowering = std::vector<ValueId> (*)(GraphBuilder&, OldNode&);

std::vector<ValueId> append(GraphBuilder& build, OldNode& node) {
  Graph& graph = build.graph();
  const int outputs = std::max(node.num_outputs, 1);
  const NodeId id = graph.add_node(
      {.name = node.name, .op = node.op, .inputs = node.inputs, .attributes = node.attributes},
      outputs);
  infer_node(graph, id);
  return graph.node(id).outputs;
}

void set_input(OldNode& node, std::size_t i, ValueId value) {
  if (node.inputs.size() <= i) node.inputs.resize(i + 1, kNoValue);
  node.inputs[i] = value;
}

// Moves an attribute of integers to input i, where newer opsets have it.
void ints_to_input(GraphBuilder& build, OldNode& node, const std::string& name, std::size_t i) {
  if (!node.attributes.has(name)) return;
  set_input(node, i, build.int64s(node.attributes.get_ints(name)));
  node.attributes.erase(name);
}

void float_to_input(GraphBuilder& build, OldNode& node, const std::string& name, std::size_t i) {
  if (!node.attributes.has(name)) return;
  const double value = node.attributes.get_float(name, 0);
  set_input(node, i, build.scalar(value, build.dtype(node.inputs[0])));
  node.attributes.erase(name);
}

std::vector<ValueId> lower_clip(GraphBuilder& build, OldNode& node) {
  float_to_input(build, node, "min", 1);
  float_to_input(build, node, "max", 2);
  return append(build, node);
}

std::vector<ValueId> lower_axes(GraphBuilder& build, OldNode& node) {
  ints_to_input(build, node, "axes", 1);
  return append(build, node);
}

std::vector<ValueId> lower_split(GraphBuilder& build, OldNode& node) {
  ints_to_input(build, node, "split", 1);
  return append(build, node);
}

std::vector<ValueId> lower_slice(GraphBuilder& build, OldNode& node) {
  ints_to_input(build, node, "starts", 1);
  ints_to_input(build, node, "ends", 2);
  ints_to_input(build, node, "axes", 3);
  return append(build, node);
}

// Only its first output: a mask is for training, and ours comes from a counter.
std::vector<ValueId> lower_dropout(GraphBuilder& build, OldNode& node) {
  float_to_input(build, node, "ratio", 1);
  node.attributes.erase("is_test");
  node.num_outputs = 1;
  return append(build, node);
}

std::vector<ValueId> lower_batch_norm(GraphBuilder& build, OldNode& node) {
  if (node.attributes.get_int("training_mode", 0) != 0) {
    throw Error(ErrorCode::kInvalidInput,
                fmt::format("[{}] training_mode is 1: samples would meet in predict", node.where),
                "from PyTorch, export model.eval() with training=TrainingMode.PRESERVE; fit "
                "normalizes over the batch all the same");
  }
  if (node.attributes.get_int("spatial", 1) != 1) fail_input(node.where, "spatial is 0");
  for (const char* gone : {"spatial", "is_test", "consumed_inputs", "training_mode"}) {
    node.attributes.erase(gone);
  }
  node.num_outputs = 1;
  return append(build, node);
}

// Before opset 13, all axes from `axis` on were normalized together.
std::vector<ValueId> lower_softmax(GraphBuilder& build, OldNode& node) {
  if (node.opset >= 13) return append(build, node);
  const Shape shape = build.shape(node.inputs[0]);
  const std::int64_t given = node.attributes.get_int("axis", 1);
  const std::int64_t axis = given < 0 ? given + shape.rank() : given;
  node.attributes.set("axis", std::int64_t{-1});
  if (axis < 0 || axis >= shape.rank()) {
    fail_input(node.where, "axis {} is out of range for rank {}", given, shape.rank());
  }
  if (axis == shape.rank() - 1) return append(build, node);
  const ValueId flat = build.op("Flatten", {node.inputs[0]}, {{"axis", axis}});
  const ValueId normalized = build.op(node.op, {flat}, node.attributes);
  std::vector<std::int64_t> target = shape.dims();
  if (axis >= 1) target[0] = -1;
  node.op = "Reshape";
  node.inputs = {normalized, build.int64s(target)};
  node.attributes = {};
  return append(build, node);
}

std::vector<ValueId> lower_reshape(GraphBuilder& build, OldNode& node) {
  ints_to_input(build, node, "shape", 1);
  return append(build, node);
}

std::vector<ValueId> lower_constant(GraphBuilder& build, OldNode& node) {
  const Attributes& attributes = node.attributes;
  Tensor value;
  if (attributes.has("value")) {
    value = attributes.get_tensor("value");
  } else if (attributes.has("value_float")) {
    value = Tensor::scalar(static_cast<float>(attributes.get_float("value_float", 0)));
  } else if (attributes.has("value_int")) {
    value = Tensor::scalar(attributes.get_int("value_int"));
  } else if (attributes.has("value_ints")) {
    const auto ints = attributes.get_ints("value_ints");
    value = Tensor::from(Shape{static_cast<std::int64_t>(ints.size())}, ints);
  } else if (attributes.has("value_floats")) {
    const auto doubles = attributes.get_floats("value_floats");
    const std::vector<float> floats(doubles.begin(), doubles.end());
    value = Tensor::from(Shape{static_cast<std::int64_t>(floats.size())}, floats);
  } else {
    fail_input(node.where, "has none of the values that are supported");
  }
  return {build.graph().add_constant(node.name, std::move(value))};
}

bool is_uniform(const Tensor& constant) {
  if (constant.dtype() != DType::kFloat32 || constant.shape().rank() == 0) return false;
  const Tensor tensor = constant.materialized();
  if (!tensor.is_aligned()) return false;
  const auto values = tensor.values<float>();
  return std::all_of(values.begin(), values.end(), [&](float v) { return v == values[0]; });
}

// Exporters keep one of the tensors that are equal, as the ones and zeros of fresh normalizations
// are, and an Identity for each other: they are parameters and moments of their own all the same.
std::vector<ValueId> lower_identity(GraphBuilder& build, OldNode& node) {
  const Value& source = build.graph().value(node.inputs[0]);
  if (source.kind != ValueKind::kConstant || !is_uniform(*source.constant)) {
    return append(build, node);
  }
  return {build.graph().add_constant(node.name, Tensor(*source.constant))};
}

// Sum of many is a chain of Add, so that what is known of Add holds for it.
std::vector<ValueId> lower_sum(GraphBuilder& build, OldNode& node) {
  node.op = node.inputs.size() == 1 ? "Identity" : "Add";
  while (node.inputs.size() > 2) {
    const ValueId sum = build.op("Add", {node.inputs[0], node.inputs[1]});
    node.inputs.erase(node.inputs.begin());
    node.inputs[0] = sum;
  }
  return append(build, node);
}

// What only helped old runtimes, or is 1 by definition now.
std::vector<ValueId> lower_pool(GraphBuilder& build, OldNode& node) {
  if (node.num_outputs > 1) node.num_outputs = 1;
  node.attributes.erase("storage_order");
  return append(build, node);
}

struct LoweringRow {
  std::string_view op;
  Lowering lower;
};

// Ops whose older forms differ from the newest, or that others express.
constexpr std::array<LoweringRow, 17> kLowerings{{
    {"Clip", lower_clip},
    {"Identity", lower_identity},
    {"Squeeze", lower_axes},
    {"Unsqueeze", lower_axes},
    {"ReduceSum", lower_axes},
    {"ReduceMean", lower_axes},
    {"ReduceMax", lower_axes},
    {"Split", lower_split},
    {"Slice", lower_slice},
    {"Dropout", lower_dropout},
    {"BatchNormalization", lower_batch_norm},
    {"Softmax", lower_softmax},
    {"LogSoftmax", lower_softmax},
    {"Reshape", lower_reshape},
    {"Constant", lower_constant},
    {"Sum", lower_sum},
    {"MaxPool", lower_pool},
}};

}  // namespace

std::vector<ValueId> lower_node(Graph& graph, OldNode node) {
  // What follows looks at input 0 before the row of the op is asked.
  const bool wants_input = op_row(node.op).min_inputs > 0;
  if (wants_input && (node.inputs.empty() || node.inputs[0] == kNoValue)) {
    fail_input(node.where, "lacks its first input");
  }
  GraphBuilder build(graph);
  build.set_prefix(node.name + ".");
  for (const LoweringRow& row : kLowerings) {
    if (row.op == node.op) return row.lower(build, node);
  }
  return append(build, node);
}

}  // namespace batchwise::onnx_io

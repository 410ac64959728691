// SPDX-License-Identifier: Apache-2.0
#include "batchwise/graph_ops.h"

#include "ops/builder.h"

namespace batchwise {
namespace {

ValueId id_of(GraphValue value) { return ValueId(value.id); }
GraphValue value_of(ValueId id) { return {static_cast<std::int32_t>(id)}; }

}  // namespace

GraphValue GraphOps::op(const std::string& name, const std::vector<GraphValue>& inputs,
                        const std::map<std::string, std::vector<std::int64_t>>& attributes) {
  std::vector<ValueId> ids;
  for (GraphValue input : inputs) ids.push_back(id_of(input));
  Attributes converted;
  for (const AttributeDef& def : op_row(name).attributes) {
    const auto it = attributes.find(std::string(def.name));
    if (it == attributes.end()) continue;
    if (def.type == AttributeType::kInt && it->second.size() == 1) {
      converted.set(it->first, it->second.front());
    } else {
      converted.set(it->first, it->second);
    }
  }
  return value_of(builder_->op(name, std::move(ids), std::move(converted)));
}

GraphValue GraphOps::add(GraphValue a, GraphValue b) { return op("Add", {a, b}); }
GraphValue GraphOps::subtract(GraphValue a, GraphValue b) { return op("Sub", {a, b}); }
GraphValue GraphOps::multiply(GraphValue a, GraphValue b) { return op("Mul", {a, b}); }
GraphValue GraphOps::divide(GraphValue a, GraphValue b) { return op("Div", {a, b}); }
GraphValue GraphOps::exp(GraphValue x) { return op("Exp", {x}); }
GraphValue GraphOps::log(GraphValue x) { return op("Log", {x}); }
GraphValue GraphOps::sqrt(GraphValue x) { return op("Sqrt", {x}); }
GraphValue GraphOps::abs(GraphValue x) { return op("Abs", {x}); }
GraphValue GraphOps::relu(GraphValue x) { return op("Relu", {x}); }
GraphValue GraphOps::tanh(GraphValue x) { return op("Tanh", {x}); }
GraphValue GraphOps::sigmoid(GraphValue x) { return op("Sigmoid", {x}); }
GraphValue GraphOps::softmax(GraphValue x) { return op("Softmax", {x}); }
GraphValue GraphOps::log_softmax(GraphValue x) { return op("LogSoftmax", {x}); }
GraphValue GraphOps::sum(GraphValue x) { return reduce("ReduceSum", x); }
GraphValue GraphOps::mean(GraphValue x) { return reduce("ReduceMean", x); }
GraphValue GraphOps::max(GraphValue x) { return reduce("ReduceMax", x); }

GraphValue GraphOps::reduce(const std::string& name, GraphValue x) {
  std::vector<std::int64_t> axes;
  for (int axis = 1; axis < builder_->shape(id_of(x)).rank(); ++axis) axes.push_back(axis);
  if (axes.empty()) return x;
  const ValueId axes_value = builder_->int64s(axes);
  return value_of(builder_->op(name, {id_of(x), axes_value}, {{"keepdims", std::int64_t{0}}}));
}

GraphValue GraphOps::cross_entropy(GraphValue logits, GraphValue labels) {
  return op("CrossEntropy", {logits, labels});
}

GraphValue GraphOps::mean_squared_error(GraphValue prediction, GraphValue target) {
  return op("MeanSquaredError", {prediction, target});
}

GraphValue GraphOps::constant(double value) {
  return value_of(builder_->scalar(value, DType::kFloat32));
}

std::vector<std::int64_t> GraphOps::shape(GraphValue x) const {
  return builder_->shape(id_of(x)).dims();
}

}  // namespace batchwise

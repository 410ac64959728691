// SPDX-License-Identifier: Apache-2.0
#include "ops/builder.h"

#include "base/check.h"

namespace batchwise {

ValueId GraphBuilder::op(const std::string& name, std::vector<ValueId> inputs,
                         Attributes attributes) {
  return ops(name, std::move(inputs), std::move(attributes), 1).front();
}

std::vector<ValueId> GraphBuilder::ops(const std::string& name, std::vector<ValueId> inputs,
                                       Attributes attributes, int num_outputs) {
  const NodeId id =
      graph_.add_node({.name = fmt::format("{}{}_{}", prefix_, name, graph_.nodes.size()),
                       .op = name,
                       .inputs = std::move(inputs),
                       .attributes = std::move(attributes)},
                      num_outputs);
  infer_node(graph_, id);
  return graph_.node(id).outputs;
}

ValueId GraphBuilder::scalar(double value, DType dtype) {
  if (dtype == DType::kFloat64) return graph_.add_constant("scalar", Tensor::scalar(value));
  return graph_.add_constant("scalar", Tensor::scalar(static_cast<float>(value)));
}

ValueId GraphBuilder::int64s(const std::vector<std::int64_t>& values) {
  return graph_.add_constant("int64s",
                             Tensor::from(Shape{static_cast<std::int64_t>(values.size())}, values));
}

ValueId GraphBuilder::sum_to(ValueId value, const Shape& shape) {
  if (graph_.shape(value) == shape) return value;
  return op("SumTo", {value}, {{"shape", shape.dims()}});
}

}  // namespace batchwise

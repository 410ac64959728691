// SPDX-License-Identifier: Apache-2.0
#include "engine/evaluator.h"

#include "engine/backends.h"

namespace batchwise {
namespace {

// A filled tensor stays a splat, which takes no memory until a kernel wants it.
std::vector<Tensor> evaluate(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op == "ConstantOfShape") {
    const NodeView view(graph, node);
    const TensorType& type = graph.type(node.outputs[0]);
    if (node.attributes.has("value")) {
      return {Tensor::splat(type.dtype, type.shape, node.attributes.get_tensor("value").data())};
    }
    const float zero = 0;
    return {Tensor::splat(type.dtype, type.shape, &zero)};
  }
  return evaluate_node(graph, id);
}

}  // namespace

const Evaluator& engine_evaluator() {
  static const Evaluator evaluator{can_evaluate, evaluate};
  return evaluator;
}

}  // namespace batchwise

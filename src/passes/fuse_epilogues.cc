// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <optional>

#include "ops/op.h"
#include "passes/pass.h"
#include "passes/rewrite.h"

namespace batchwise {
namespace {

// The epilogue that does what an activation node does, where there is one.
std::optional<Epilogue> activation_of(const Graph& graph, const Node& node, Epilogue epilogue) {
  if (!epilogue.activation.empty()) return std::nullopt;
  if (node.op == "Relu") {
    epilogue.activation = "Relu";
    return epilogue;
  }
  if (node.op == "LeakyRelu") {
    epilogue.activation = "LeakyRelu";
    epilogue.alpha = static_cast<float>(node.attributes.get_float("alpha", 0.01));
    return epilogue;
  }
  if (node.op != "Clip") return std::nullopt;
  epilogue.activation = "Clip";
  epilogue.alpha = std::numeric_limits<float>::lowest();
  epilogue.beta = std::numeric_limits<float>::max();
  const NodeView view(graph, node);
  for (int i = 1; i < 3; ++i) {
    if (!view.has_input(i)) continue;
    const Tensor* bound = view.constant(i);
    if (bound == nullptr || bound->dtype() != DType::kFloat32) return std::nullopt;
    bound->reshaped(Shape()).copy_to(i == 1 ? &epilogue.alpha : &epilogue.beta);
  }
  return epilogue;
}

bool fuse_activation(Graph& graph, NodeId layer_id, const PassContext& context) {
  const NodeId next = sole_consumer(graph, graph.node(layer_id).outputs[0]);
  if (next == kNoNode) return false;
  if (graph.node(next).inputs[0] != graph.node(layer_id).outputs[0]) return false;
  const auto epilogue = activation_of(graph, graph.node(next), graph.node(layer_id).epilogue);
  if (!epilogue || !context.capabilities.takes_epilogue(graph, graph.node(layer_id), *epilogue)) {
    return false;
  }
  graph.node(layer_id).epilogue = *epilogue;
  take_over_output(graph, layer_id, next);
  return true;
}

// Of an Add of two layers' results, the later layer takes the other's as its residual.
bool fuse_residual(Graph& graph, NodeId layer_id, const PassContext& context) {
  const Node& layer = graph.node(layer_id);
  const ValueId result = layer.outputs[0];
  const NodeId next = sole_consumer(graph, result);
  if (next == kNoNode || !layer.epilogue.empty() || graph.node(next).op != "Add") return false;
  const Node& add = graph.node(next);
  const ValueId other = add.inputs[0] == result ? add.inputs[1] : add.inputs[0];
  const Value& residual = graph.value(other);
  if (residual.type.shape != graph.shape(result) || residual.kind == ValueKind::kConstant ||
      residual.kind == ValueKind::kState) {
    return false;
  }
  // The residual must be there before the layer runs: nodes are in order.
  if (residual.producer != kNoNode && index(residual.producer) > index(layer_id)) return false;
  Epilogue epilogue;
  epilogue.residual_input = std::max<int>(3, static_cast<int>(layer.inputs.size()));
  if (!context.capabilities.takes_epilogue(graph, layer, epilogue)) return false;
  Node& target = graph.node(layer_id);
  target.inputs.resize(static_cast<std::size_t>(epilogue.residual_input), kNoValue);
  target.inputs.push_back(other);
  target.epilogue = epilogue;
  take_over_output(graph, layer_id, next);
  return true;
}

}  // namespace

bool fuse_epilogues(Graph& graph, const PassContext& context) {
  bool changed = false;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    if (graph.nodes[n].outputs.empty() || !is_layer(graph.nodes[n])) continue;
    changed = fuse_residual(graph, NodeId(n), context) || changed;
    changed = fuse_activation(graph, NodeId(n), context) || changed;
  }
  if (changed) erase_emptied(graph);
  return changed;
}

}  // namespace batchwise

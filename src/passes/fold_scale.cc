// SPDX-License-Identifier: Apache-2.0
#include "ops/builder.h"
#include "passes/pass.h"
#include "passes/rewrite.h"

namespace batchwise {
namespace {

// The constant of a Mul or Add, as one value a channel, where it broadcasts so: [C, 1, ...] or
// [1, C, 1, ...] against N, C, ...
bool is_per_channel(const Graph& graph, ValueId constant, const Shape& output) {
  if (constant == kNoValue || graph.value(constant).kind != ValueKind::kConstant) return false;
  const Shape& shape = graph.shape(constant);
  const int from_end = output.rank() - 1;
  if (output.rank() < 2 || shape.rank() > output.rank()) return false;
  if (shape.elements() != output[1]) return false;
  return shape.rank() >= from_end && shape[-from_end] == output[1];
}

// Folds `next`, which scales or shifts what `norm` made, into its scale and bias.
void fold(Graph& graph, NodeId norm_id, NodeId next_id, ValueId constant) {
  GraphBuilder build(graph);
  build.set_prefix(graph.node(norm_id).name + ".");
  const ValueId flat = build.op("Reshape", {constant, build.int64s({-1})});
  const bool scales = graph.node(next_id).op == "Mul";
  const ValueId scale = graph.node(norm_id).inputs[1], bias = graph.node(norm_id).inputs[2];
  const ValueId new_scale = scales ? build.op("Mul", {scale, flat}) : scale;
  const ValueId new_bias = build.op(scales ? "Mul" : "Add", {bias, flat});
  graph.node(norm_id).inputs[1] = new_scale;
  graph.node(norm_id).inputs[2] = new_bias;
  take_over_output(graph, norm_id, next_id);
}

bool is_constant(const Graph& graph, ValueId id) {
  return graph.value(id).kind == ValueKind::kConstant;
}

// Folds one node; the new constants must be computed before the next can be.
bool fold_one(Graph& graph) {
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& norm = graph.nodes[n];
    if (norm.op != "BatchNormalization" || !is_constant(graph, norm.inputs[1]) ||
        !is_constant(graph, norm.inputs[2])) {
      continue;
    }
    const ValueId result = norm.outputs[0];
    const NodeId next = sole_consumer(graph, result);
    if (next == kNoNode) continue;
    const Node& follower = graph.node(next);
    if (follower.op != "Mul" && follower.op != "Add") continue;
    const ValueId constant = follower.inputs[0] == result ? follower.inputs[1] : follower.inputs[0];
    if (!is_per_channel(graph, constant, graph.shape(result))) continue;
    fold(graph, NodeId(n), next, constant);
    return true;
  }
  return false;
}

}  // namespace

bool fold_scale(Graph& graph, const PassContext& context) {
  bool changed = false;
  while (fold_one(graph)) {
    erase_emptied(graph);
    fold_constants(graph, context);
    changed = true;
  }
  return changed;
}

}  // namespace batchwise

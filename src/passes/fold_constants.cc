// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "ops/op.h"
#include "passes/pass.h"

namespace batchwise {
namespace {

constexpr std::int64_t kSmallElements = 4096;

// Only what has constant inputs: what depends on a shape depends on the batch.
bool has_constant_inputs(const Graph& graph, const Node& node) {
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
    return id == kNoValue || graph.value(id).kind == ValueKind::kConstant;
  });
}

bool is_small(const Graph& graph, const Node& node) {
  return std::all_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
    return id == kNoValue || graph.shape(id).elements() <= kSmallElements;
  });
}

}  // namespace

bool fold_constants(Graph& graph, const PassContext& context) {
  bool changed = false;
  std::vector<Node> old_nodes = std::move(graph.nodes);
  graph.nodes.clear();
  for (Node& old_node : old_nodes) {
    const auto id = NodeId(graph.nodes.size());
    graph.nodes.push_back(std::move(old_node));
    const Node& node = graph.nodes.back();
    for (ValueId output : node.outputs) {
      if (output != kNoValue) graph.value(output).producer = id;
    }
    const bool filled = node.op == "ConstantOfShape";  // a splat takes no memory, whatever its size
    if (!has_constant_inputs(graph, node) || !(filled || is_small(graph, node)) ||
        !context.evaluator.can_evaluate(graph, id)) {
      continue;
    }
    const std::vector<Tensor> results = context.evaluator.evaluate(graph, id);
    for (std::size_t o = 0; o < node.outputs.size(); ++o) {
      if (node.outputs[o] == kNoValue) continue;
      Value& value = graph.value(node.outputs[o]);
      value.kind = ValueKind::kConstant;
      value.producer = kNoNode;
      value.constant = results[o];
    }
    graph.nodes.pop_back();
    changed = true;
  }
  return changed;
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>

#include "graph/graph.h"

namespace batchwise {

// The node that alone uses `value`, which is no output of the graph; kNoNode else.
inline NodeId sole_consumer(const Graph& graph, ValueId value) {
  if (graph.is_output(value)) return kNoNode;
  const auto users = graph.consumers(value);
  if (users.size() != 1) return kNoNode;
  const auto& inputs = graph.node(users[0]).inputs;
  return std::count(inputs.begin(), inputs.end(), value) == 1 ? users[0] : kNoNode;
}

inline bool is_layer(const Node& node) {
  return node.op == "Conv" || node.op == "Gemm" || node.op == "MatMul";
}

// Makes `layer` produce what `follower` (its sole consumer) did, under the follower's name.
inline void take_over_output(Graph& graph, NodeId layer, NodeId follower) {
  const ValueId result = graph.node(follower).outputs[0];
  const ValueId before = graph.node(layer).outputs[0];
  graph.node(layer).outputs[0] = result;
  graph.value(result).producer = layer;
  graph.node(follower).outputs.clear();
  graph.node(follower).inputs.clear();
  graph.value(before).producer = kNoNode;
  graph.value(before).kind = ValueKind::kState;  // unreferenced: swept by erase_emptied()
}

// Removes nodes that were left without outputs, and orders the rest.
inline void erase_emptied(Graph& graph) {
  std::vector<Node> kept;
  for (Node& node : graph.nodes) {
    if (!node.outputs.empty()) kept.push_back(std::move(node));
  }
  graph.nodes = std::move(kept);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    for (ValueId id : graph.nodes[n].outputs) {
      if (id != kNoValue) graph.value(id).producer = NodeId(n);
    }
  }
  sort_nodes(graph);
}

}  // namespace batchwise

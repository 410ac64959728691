// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "graph/graph.h"

namespace batchwise {
namespace {

std::vector<bool> find_live_nodes(const Graph& graph, bool (*has_effect)(const Node&)) {
  std::vector<bool> live_values(graph.values.size(), false);
  for (ValueId id : graph.outputs) live_values[index(id)] = true;
  std::vector<bool> live_nodes(graph.nodes.size(), false);
  for (std::size_t n = graph.nodes.size(); n-- > 0;) {
    const Node& node = graph.nodes[n];
    const bool used = std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
      return id != kNoValue && live_values[index(id)];
    });
    if (!used && !has_effect(node)) continue;
    live_nodes[n] = true;
    for (ValueId id : node.inputs) {
      if (id != kNoValue) live_values[index(id)] = true;
    }
  }
  return live_nodes;
}

// Keeps inputs, states, and what a live node or an output refers to.
std::vector<bool> find_live_values(const Graph& graph) {
  std::vector<bool> live(graph.values.size(), false);
  const auto mark = [&](const std::vector<ValueId>& ids) {
    for (ValueId id : ids) {
      if (id != kNoValue) live[index(id)] = true;
    }
  };
  mark(graph.inputs);
  mark(graph.outputs);
  for (const Node& node : graph.nodes) {
    mark(node.inputs);
    mark(node.outputs);
  }
  return live;
}

void compact_values(Graph& graph, const std::vector<bool>& live) {
  std::vector<ValueId> moved(graph.values.size(), kNoValue);
  std::vector<Value> kept;
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    if (!live[i]) continue;
    moved[i] = ValueId(kept.size());
    kept.push_back(std::move(graph.values[i]));
  }
  graph.values = std::move(kept);
  const auto rename = [&](std::vector<ValueId>& ids) {
    for (ValueId& id : ids) {
      if (id != kNoValue) id = moved[index(id)];
    }
  };
  rename(graph.inputs);
  rename(graph.outputs);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    rename(graph.nodes[n].inputs);
    rename(graph.nodes[n].outputs);
    for (ValueId id : graph.nodes[n].outputs) {
      if (id != kNoValue) graph.value(id).producer = NodeId(n);
    }
  }
}

}  // namespace

bool remove_dead(Graph& graph, bool (*has_effect)(const Node&)) {
  const std::size_t before = graph.nodes.size() + graph.values.size();
  const std::vector<bool> live = find_live_nodes(graph, has_effect);
  std::vector<Node> kept;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    if (live[n]) kept.push_back(std::move(graph.nodes[n]));
  }
  graph.nodes = std::move(kept);
  compact_values(graph, find_live_values(graph));
  return graph.nodes.size() + graph.values.size() != before;
}

}  // namespace batchwise

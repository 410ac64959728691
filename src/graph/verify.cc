// SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <queue>

#include "base/check.h"
#include "graph/graph.h"

namespace batchwise {
namespace {

void check_id(const Graph& graph, ValueId id, const std::string& user) {
  BW_CHECK(id == kNoValue || index(id) < graph.values.size(), "{} uses value {} of {}", user,
           static_cast<int>(id), graph.values.size());
}

void verify_values(const Graph& graph) {
  for (const Value& value : graph.values) {
    BW_CHECK(value.kind != ValueKind::kConstant || value.constant, "{} has no tensor", value.name);
    BW_CHECK((value.kind == ValueKind::kComputed) == (value.producer != kNoNode), "{}", value.name);
  }
}

}  // namespace

void verify(const Graph& graph) {
  verify_values(graph);
  std::vector<bool> ready(graph.values.size());
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    ready[i] = graph.values[i].kind != ValueKind::kComputed;
  }
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    for (ValueId id : node.inputs) {
      check_id(graph, id, node.name);
      BW_CHECK(id == kNoValue || ready[index(id)], "{} uses {} before it is made", node.name,
               graph.value(id).name);
    }
    BW_CHECK(node.epilogue.residual_input < static_cast<int>(node.inputs.size()), "{}", node.name);
    for (ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      check_id(graph, id, node.name);
      BW_CHECK(!ready[index(id)] && graph.value(id).producer == NodeId(n),
               "{} makes {}, which has another producer", node.name, graph.value(id).name);
      ready[index(id)] = true;
    }
  }
  for (ValueId id : graph.outputs) {
    check_id(graph, id, "the graph's outputs");
    BW_CHECK(id != kNoValue && ready[index(id)], "an output is never made");
  }
}

void sort_nodes(Graph& graph) {
  std::vector<int> waits(graph.nodes.size(), 0);
  std::vector<std::vector<std::size_t>> users(graph.nodes.size());
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    for (ValueId id : graph.nodes[n].inputs) {
      if (id == kNoValue || graph.value(id).producer == kNoNode) continue;
      users[index(graph.value(id).producer)].push_back(n);
      ++waits[n];
    }
  }
  // The first node that can run goes first: an order that was right is kept.
  std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> ready;
  for (std::size_t n = 0; n < waits.size(); ++n) {
    if (waits[n] == 0) ready.push(n);
  }
  std::vector<Node> sorted;
  std::vector<bool> done(graph.nodes.size(), false);
  while (!ready.empty()) {
    const std::size_t n = ready.top();
    ready.pop();
    done[n] = true;
    for (std::size_t user : users[n]) {
      if (--waits[user] == 0) ready.push(user);
    }
    for (ValueId id : graph.nodes[n].outputs) {
      if (id != kNoValue) graph.value(id).producer = NodeId(sorted.size());
    }
    sorted.push_back(std::move(graph.nodes[n]));
  }
  for (std::size_t n = 0; n < done.size(); ++n) {
    if (!done[n]) {
      fail_input("graph", "node {} ({}) lies on a cycle", graph.nodes[n].name, graph.nodes[n].op);
    }
  }
  graph.nodes = std::move(sorted);
}

}  // namespace batchwise

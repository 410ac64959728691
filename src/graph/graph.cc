// SPDX-License-Identifier: Apache-2.0
#include "graph/graph.h"

#include <algorithm>
#include <deque>

#include "base/check.h"

namespace batchwise {

ValueId Graph::add_value(Value value) {
  values.push_back(std::move(value));
  return ValueId(values.size() - 1);
}

ValueId Graph::add_input(std::string value_name, TensorType type, BatchAxis batch) {
  const ValueId id = add_value({.name = std::move(value_name),
                                .type = std::move(type),
                                .kind = ValueKind::kInput,
                                .batch = batch});
  inputs.push_back(id);
  return id;
}

ValueId Graph::add_constant(std::string value_name, Tensor tensor) {
  TensorType type{tensor.dtype(), tensor.shape()};
  return add_value({.name = std::move(value_name),
                    .type = std::move(type),
                    .kind = ValueKind::kConstant,
                    .constant = std::move(tensor)});
}

ValueId Graph::add_state(std::string value_name, TensorType type, std::optional<Tensor> initial) {
  return add_value({.name = std::move(value_name),
                    .type = std::move(type),
                    .kind = ValueKind::kState,
                    .constant = std::move(initial)});
}

NodeId Graph::add_node(Node node, int num_outputs) {
  const auto id = NodeId(nodes.size());
  if (node.name.empty()) node.name = fmt::format("{}_{}", node.op, nodes.size());
  for (int i = 0; i < num_outputs; ++i) {
    node.outputs.push_back(
        add_value({.name = num_outputs == 1 ? node.name : fmt::format("{}:{}", node.name, i),
                   .producer = id}));
  }
  nodes.push_back(std::move(node));
  return id;
}

ValueId Graph::find(const std::string& wanted) const {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i].name == wanted) return ValueId(i);
  }
  return kNoValue;
}

void Graph::replace_uses(ValueId from, ValueId to) {
  for (Node& node : nodes) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  std::replace(outputs.begin(), outputs.end(), from, to);
}

std::vector<NodeId> Graph::consumers(ValueId id) const {
  std::vector<NodeId> result;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto& used = nodes[i].inputs;
    if (std::find(used.begin(), used.end(), id) != used.end()) result.push_back(NodeId(i));
  }
  return result;
}

std::vector<int> Graph::use_counts() const {
  std::vector<int> counts(values.size(), 0);
  for (const Node& node : nodes) {
    for (ValueId id : node.inputs) {
      if (id != kNoValue) ++counts[index(id)];
    }
  }
  for (ValueId id : outputs) ++counts[index(id)];
  return counts;
}

bool Graph::is_output(ValueId id) const {
  return std::find(outputs.begin(), outputs.end(), id) != outputs.end();
}

}  // namespace batchwise

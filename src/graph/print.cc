// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "graph/graph.h"

namespace batchwise {
namespace {

std::string value_text(const Graph& graph, ValueId id) {
  if (id == kNoValue) return "_";
  const Value& value = graph.value(id);
  return fmt::format("%{}: {}{}{}", value.name, dtype_name(value.type.dtype),
                     value.type.shape.to_string(),
                     value.layout == Layout::kChannelsLast ? " channels-last" : "");
}

std::string names(const Graph& graph, const std::vector<ValueId>& ids) {
  std::string text;
  for (ValueId id : ids) {
    if (!text.empty()) text += ", ";
    text += id == kNoValue ? "_" : "%" + graph.value(id).name;
  }
  return text;
}

}  // namespace

std::string to_string(const Graph& graph) {
  std::string text;
  for (ValueId id : graph.inputs) text += fmt::format("input {}\n", value_text(graph, id));
  for (const Node& node : graph.nodes) {
    std::string outputs;
    for (ValueId id : node.outputs) {
      if (!outputs.empty()) outputs += ", ";
      outputs += value_text(graph, id);
    }
    text += fmt::format("{} = {}({})", outputs, node.op, names(graph, node.inputs));
    const std::string attributes = node.attributes.to_string();
    if (!attributes.empty()) text += " {" + attributes + "}";
    if (node.epilogue.residual_input >= 0) text += " + residual";
    if (!node.epilogue.activation.empty()) text += " -> " + node.epilogue.activation;
    text += "\n";
  }
  text += fmt::format("output {}\n", names(graph, graph.outputs));
  return text;
}

}  // namespace batchwise

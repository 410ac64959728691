// SPDX-License-Identifier: Apache-2.0
#include "base/heap.h"
#include "graph/graph.h"

namespace batchwise {
namespace {

std::int64_t held_by(const AttributeValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return heap_bytes(*text);
  if (const auto* ints = std::get_if<std::vector<std::int64_t>>(&value)) return heap_bytes(*ints);
  if (const auto* floats = std::get_if<std::vector<double>>(&value)) return heap_bytes(*floats);
  return 0;
}

std::int64_t held_by(const Node& node) {
  constexpr std::size_t kTreeLinks = 32;  // of a map's node, before its value
  std::int64_t bytes = heap_bytes(node.name) + heap_bytes(node.op) + heap_bytes(node.inputs) +
                       heap_bytes(node.outputs) + heap_bytes(node.epilogue.activation);
  for (const auto& entry : node.attributes.values()) {
    bytes += heap_block_bytes(kTreeLinks + sizeof entry) + heap_bytes(entry.first) +
             held_by(entry.second);
  }
  return bytes;
}

}  // namespace

std::int64_t heap_bytes(const Graph& graph) {
  std::int64_t bytes = heap_bytes(graph.values) + heap_bytes(graph.nodes) +
                       heap_bytes(graph.inputs) + heap_bytes(graph.outputs);
  for (const Value& value : graph.values) {
    bytes += heap_bytes(value.name) + heap_bytes(value.type.shape.dims());
  }
  for (const Node& node : graph.nodes) bytes += held_by(node);
  return bytes;
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "engine/constant_expressions.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/sha256.h"
#include "engine/backends.h"
#include "ops/op.h"

namespace batchwise {
namespace {

// Small constants may be made by folding, under one name but with another value for each batch:
// their bytes, or a digest of them, belong to their key. Large ones come from the file, where names
// are unique.
std::string small_contents(const Tensor& tensor) {
  constexpr std::int64_t kSmallBytes = 4096, kDigestBytes = 64;
  const std::int64_t bytes =
      tensor.is_splat() ? static_cast<std::int64_t>(dtype_bytes(tensor.dtype())) : tensor.bytes();
  if (bytes > kSmallBytes) return {};
  if (bytes > kDigestBytes) {
    Sha256 digest;
    digest.update(tensor.data(), static_cast<std::size_t>(bytes));
    return "=" + digest.hex();
  }
  const auto* begin = reinterpret_cast<const char*>(tensor.data());
  return "=" + std::string(begin, begin + bytes);
}

// The bytes of a constant in another layout; its shape stays.
Tensor reordered(const Tensor& tensor, const Node& node) {
  const Tensor from = tensor.materialized();
  Tensor to = Tensor::zeros(from.dtype(), from.shape());
  const Shape& shape = from.shape();
  const std::int64_t channels = shape[1], positions = shape.elements(2, shape.rank());
  const bool to_last = node.attributes.get_string("to", "") == "channels_last";
  const std::size_t size = dtype_bytes(from.dtype());
  for (std::int64_t i = 0; i < shape.elements(); ++i) {
    const std::int64_t position = i % positions, channel = i / positions % channels;
    const std::int64_t sample = i / positions / channels;
    const std::int64_t last = (sample * positions + position) * channels + channel;
    const std::int64_t source = to_last ? i : last, target = to_last ? last : i;
    std::memcpy(to.mutable_data() + static_cast<std::size_t>(target) * size,
                from.data() + static_cast<std::size_t>(source) * size, size);
  }
  return to;
}

}  // namespace

std::vector<bool> find_constant_values(const Graph& graph) {
  std::vector<bool> constant(graph.values.size(), false);
  for (std::size_t i = 0; i < constant.size(); ++i) {
    constant[i] = graph.values[i].kind == ValueKind::kConstant;
  }
  for (const Node& node : graph.nodes) {
    const bool all = !node.has_effect &&
                     std::all_of(node.inputs.begin(), node.inputs.end(),
                                 [&](ValueId id) { return id == kNoValue || constant[index(id)]; });
    for (ValueId id : node.outputs) {
      if (all && id != kNoValue) constant[index(id)] = true;
    }
  }
  return constant;
}

Tensor evaluate_constant(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  if (value.kind == ValueKind::kConstant) return *value.constant;
  BW_CHECK(value.producer != kNoNode, "{} is not constant", value.name);
  const Node& node = graph.node(value.producer);
  if (node.op == "Reorder") return reordered(evaluate_constant(graph, node.inputs[0]), node);
  Graph single;
  Node copy = node;
  for (ValueId& input : copy.inputs) {
    if (input == kNoValue) continue;
    input = single.add_constant(graph.value(input).name,
                                evaluate_constant(graph, input).materialized());
  }
  copy.outputs.clear();
  const NodeId made = single.add_node(std::move(copy), static_cast<int>(node.outputs.size()));
  infer_node(single, made);
  const std::vector<Tensor> results = evaluate_node(single, made);
  for (ValueId input : node.inputs) {
    if (input != kNoValue && graph.value(input).constant)
      graph.value(input).constant->release_pages();
  }
  for (std::size_t o = 0; o < node.outputs.size(); ++o) {
    if (node.outputs[o] == id) return results[o];
  }
  BW_CHECK(false, "{} is not among its producer's outputs", value.name);
}

std::string constant_key(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  if (value.kind == ValueKind::kConstant) {
    return fmt::format("{} {}{}{}", value.name, dtype_name(value.type.dtype),
                       value.type.shape.to_string(), small_contents(*value.constant));
  }
  const Node& node = graph.node(value.producer);
  std::string key = node.op + "{" + node.attributes.to_string() + "}(";
  for (ValueId input : node.inputs) {
    key += input == kNoValue ? "_," : constant_key(graph, input) + ",";
  }
  return key + ")";
}

std::int64_t load_cost(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  const std::int64_t bytes =
      value.type.shape.elements() * static_cast<std::int64_t>(dtype_bytes(value.type.dtype));
  if (value.kind == ValueKind::kConstant) return bytes;
  std::int64_t inputs = 0;
  for (ValueId input : graph.node(value.producer).inputs) {
    if (input != kNoValue) inputs += load_cost(graph, input);
  }
  return bytes + inputs;
}

}  // namespace batchwise

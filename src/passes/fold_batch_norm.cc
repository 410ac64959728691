// SPDX-License-Identifier: Apache-2.0
#include "ops/builder.h"
#include "passes/pass.h"
#include "passes/rewrite.h"

namespace batchwise {
namespace {

bool is_constant(const Graph& graph, ValueId id) {
  return id != kNoValue && graph.value(id).kind == ValueKind::kConstant;
}

bool can_fold(const Graph& graph, const Node& layer, const Node& norm) {
  if (layer.op != "Conv" && layer.op != "Gemm") return false;
  if (!layer.epilogue.empty() || !is_constant(graph, layer.inputs[1])) return false;
  if (layer.inputs.size() > 2 && layer.inputs[2] != kNoValue &&
      !(is_constant(graph, layer.inputs[2]) && graph.shape(layer.inputs[2]).rank() == 1)) {
    return false;
  }
  if (layer.op == "Gemm" &&
      (layer.attributes.get_float("alpha", 1) != 1 || layer.attributes.get_float("beta", 1) != 1)) {
    return false;
  }
  for (std::size_t i = 1; i < 5; ++i) {
    if (!is_constant(graph, norm.inputs[i])) return false;
  }
  return true;
}

// y = s (W x + b - mean) + bias with s = scale / sqrt(variance + epsilon), so W' = s W and
// b' = s (b - mean) + bias.
void fold(Graph& graph, NodeId layer_id, NodeId norm_id) {
  const Node layer = graph.node(layer_id), norm = graph.node(norm_id);
  GraphBuilder build(graph);
  build.set_prefix(layer.name + ".");
  const DType dtype = graph.type(norm.inputs[1]).dtype;
  const ValueId epsilon = build.scalar(norm.attributes.get_float("epsilon", 1e-5), dtype);
  const ValueId deviation = build.op("Sqrt", {build.op("Add", {norm.inputs[4], epsilon})});
  const ValueId factor = build.op("Div", {norm.inputs[1], deviation});
  const Shape& weight = graph.shape(layer.inputs[1]);
  std::vector<std::int64_t> factor_shape(static_cast<std::size_t>(weight.rank()), 1);
  const bool columns = layer.op == "Gemm" && layer.attributes.get_int("transB", 0) == 0;
  factor_shape[columns ? factor_shape.size() - 1 : 0] = -1;
  const ValueId spread = build.op("Reshape", {factor, build.int64s(factor_shape)});
  const ValueId new_weight = build.op("Mul", {layer.inputs[1], spread});
  ValueId shift = norm.inputs[3];
  const bool has_bias = layer.inputs.size() > 2 && layer.inputs[2] != kNoValue;
  shift = has_bias ? build.op("Sub", {layer.inputs[2], shift}) : build.op("Neg", {shift});
  const ValueId new_bias = build.op("Add", {build.op("Mul", {shift, factor}), norm.inputs[2]});
  graph.node(layer_id).inputs.resize(3, kNoValue);
  graph.node(layer_id).inputs[1] = new_weight;
  graph.node(layer_id).inputs[2] = new_bias;
  take_over_output(graph, layer_id, norm_id);
}

}  // namespace

bool fold_batch_norm(Graph& graph, const PassContext& context) {
  bool changed = false;
  const std::size_t count = graph.nodes.size();
  for (std::size_t n = 0; n < count; ++n) {
    const Node& norm = graph.nodes[n];
    if (norm.op != "BatchNormalization" || norm.outputs.empty()) continue;
    const NodeId layer = graph.value(norm.inputs[0]).producer;
    if (layer == kNoNode || sole_consumer(graph, norm.inputs[0]) != NodeId(n)) continue;
    if (!can_fold(graph, graph.node(layer), norm)) continue;
    fold(graph, layer, NodeId(n));
    changed = true;
  }
  if (!changed) return false;
  erase_emptied(graph);
  fold_constants(graph, context);  // the factors are small
  return true;
}

}  // namespace batchwise

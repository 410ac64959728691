// SPDX-License-Identifier: Apache-2.0
#include "ops/builder.h"
#include "passes/pass.h"
#include "passes/rewrite.h"

namespace batchwise {
namespace {

// The channels that a layer's bias counts, or -1.
std::int64_t bias_channels(const Graph& graph, const Node& layer) {
  const Shape& output = graph.shape(layer.outputs[0]);
  if (layer.op == "Conv") return output[1];
  return graph.shape(layer.inputs[1]).rank() == 2 ? output[-1] : -1;
}

// Is `addend` one value a channel, as it broadcasts against the layer's output?
bool is_per_channel(const Graph& graph, const Node& layer, ValueId addend) {
  const Shape& shape = graph.shape(addend);
  const int rank = graph.shape(layer.outputs[0]).rank();
  const int from_end = layer.op == "Conv" ? rank - 1 : 1;  // the channel axis, from the end
  if (shape.elements() != bias_channels(graph, layer)) return false;
  if (shape.elements() == 1) return shape.rank() <= rank;
  return shape.rank() >= from_end && shape[-from_end] == shape.elements() && shape.rank() <= rank;
}

}  // namespace

bool fuse_bias(Graph& graph, const PassContext& context) {
  bool changed = false;
  const std::size_t count = graph.nodes.size();
  for (std::size_t n = 0; n < count; ++n) {
    const Node add = graph.nodes[n];
    if (add.op != "Add" || add.outputs.empty()) continue;
    for (std::size_t side = 0; side < 2; ++side) {
      const ValueId sum = add.inputs[side], addend = add.inputs[1 - side];
      const NodeId layer_id = graph.value(sum).producer;
      if (layer_id == kNoNode || graph.value(addend).kind != ValueKind::kConstant) continue;
      const Node& layer = graph.node(layer_id);
      const bool has_bias = layer.inputs.size() > 2 && layer.inputs[2] != kNoValue;
      const bool scales_bias = layer.attributes.get_float("beta", 1) != 1;
      if (!is_layer(layer) || has_bias || scales_bias || !layer.epilogue.empty() ||
          sole_consumer(graph, sum) != NodeId(n) || !is_per_channel(graph, layer, addend)) {
        continue;
      }
      const std::vector<std::int64_t> flat{graph.shape(addend).elements()};
      const ValueId bias =
          graph.shape(addend).rank() == 1
              ? addend
              : graph.add_constant(graph.value(addend).name + ".bias",
                                   graph.value(addend).constant->reshaped(Shape(flat)));
      graph.node(layer_id).inputs.resize(3, kNoValue);
      graph.node(layer_id).inputs[2] = bias;
      take_over_output(graph, layer_id, NodeId(n));
      changed = true;
      break;
    }
  }
  if (changed) erase_emptied(graph);
  (void)context;
  return changed;
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "ops/op.h"

#include <algorithm>

#include "base/check.h"
#include "ops/shape_values.h"

namespace batchwise {

std::vector<std::int64_t> NodeView::constant_int64s(int i) const {
  const Tensor* tensor = constant(i);
  if (tensor == nullptr) {
    if (has_input(i)) {
      if (auto values = shape_values(*graph_, input_id(i))) return *std::move(values);
    }
    fail_input(where(), "input {} ({}) must be constant", i,
               has_input(i) ? input_value(i).name : "absent");
  }
  return tensor->to_int64s(where());
}

std::string NodeView::where() const { return fmt::format("{} '{}'", node_->op, node_->name); }

int NodeView::axis(const std::string& attribute, std::int64_t fallback, int rank) const {
  const std::int64_t axis = attributes().get_int(attribute, fallback);
  if (axis < -rank || axis >= std::max(rank, 1)) {
    fail_input(where(), "axis {} is out of range for rank {}", axis, rank);
  }
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

const OpDef& op_row(std::string_view name) {
  const OpDef* row = find_op(name);
  if (row == nullptr) fail_input(name, "this op is not supported");
  return *row;
}

void infer_node(Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const OpDef& row = op_row(node.op);
  const NodeView view(graph, node);
  // A fused residual comes after the op's own inputs.
  const int inputs = view.num_inputs() - (node.epilogue.residual_input >= 0 ? 1 : 0);
  if (inputs < row.min_inputs || (row.max_inputs >= 0 && inputs > row.max_inputs)) {
    fail_input(view.where(), "takes {} to {} inputs, not {}", row.min_inputs, row.max_inputs,
               inputs);
  }
  for (int i = 0; i < row.min_inputs; ++i) {
    if (!view.has_input(i)) fail_input(view.where(), "input {} is missing", i);
  }
  if (view.num_outputs() > row.num_outputs) {
    fail_input(view.where(), "has at most {} outputs, not {}", row.num_outputs, view.num_outputs());
  }
  for (const AttributeDef& attribute : row.attributes) {
    if (attribute.required && !view.attributes().has(std::string(attribute.name))) {
      fail_input(view.where(), "attribute {} is missing", attribute.name);
    }
  }
  const std::vector<TensorType> types = row.infer(view);
  BW_CHECK(types.size() >= node.outputs.size(), "{}", view.where());
  for (std::size_t o = 0; o < node.outputs.size(); ++o) {
    if (node.outputs[o] == kNoValue) continue;
    checked_bytes(types[o].shape, std::max<std::size_t>(dtype_bytes(types[o].dtype), 1),
                  view.where());
    graph.value(node.outputs[o]).type = types[o];
  }
}

void verify_ops(const Graph& graph) {
  Graph copy = graph;
  for (std::size_t n = 0; n < copy.nodes.size(); ++n) {
    infer_node(copy, NodeId(n));
    for (ValueId id : copy.nodes[n].outputs) {
      if (id == kNoValue) continue;
      const Value& before = graph.value(id);
      const Value& after = copy.value(id);
      BW_CHECK(before.type.dtype == after.type.dtype && before.type.shape == after.type.shape,
               "{}: {}{} became {}{}", before.name, dtype_name(before.type.dtype),
               before.type.shape.to_string(), dtype_name(after.type.dtype),
               after.type.shape.to_string());
    }
  }
}

std::string carry_batch(Graph& graph) {
  std::string first_mix;
  for (const Node& node : graph.nodes) {
    const OpDef& row = op_row(node.op);
    std::vector<BatchAxis> batch;
    bool any = false;
    for (ValueId id : node.inputs) {
      batch.push_back(id == kNoValue ? BatchAxis{} : graph.value(id).batch);
      any = any || batch.back().axis >= 0;
    }
    const NodeView view(graph, node);
    BatchCarry carried{std::vector<BatchAxis>(node.outputs.size()), {}};
    if (any) {
      carried = row.carry != nullptr
                    ? row.carry(view, batch)
                    : BatchCarry{carried.outputs, "nothing is known of how it treats samples"};
    }
    carried.outputs.resize(node.outputs.size());
    if (!carried.mixes.empty() && first_mix.empty()) {
      first_mix = fmt::format("{} mixes samples: {}", view.where(), carried.mixes);
    }
    for (std::size_t o = 0; o < node.outputs.size(); ++o) {
      if (node.outputs[o] != kNoValue) graph.value(node.outputs[o]).batch = carried.outputs[o];
    }
  }
  return first_mix;
}

bool node_has_effect(const Node& node) {
  if (node.has_effect) return true;
  const OpDef* row = find_op(node.op);
  return row != nullptr && row->has_effect;
}

double node_flops(const Graph& graph, const Node& node) {
  const OpDef& row = op_row(node.op);
  return row.flops != nullptr ? row.flops(NodeView(graph, node)) : 0.0;
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "fit/select_parameters.h"

#include <fnmatch.h>

#include <algorithm>

#include "base/check.h"

namespace batchwise {
namespace {

bool matches_any(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return matches_glob(pattern, name); });
}

// Normalizations' slots and everything of one dimension are not decayed.
bool decays(const OpDef& row, const Shape& shape) {
  return shape.rank() >= 2 && row.statistic_inputs == 0;
}

// An exported dense layer is often MatMul and Add; a scalar or full-size constant is no bias.
bool is_bias_of_layer(const Graph& graph, const Node& node, std::size_t slot) {
  const ValueId other = node.inputs[1 - slot];
  const NodeId from = graph.value(other).producer;
  if (from == kNoNode) return false;
  const std::string& op = graph.node(from).op;
  const Shape& shape = graph.shape(node.inputs[slot]);
  const bool per_channel = std::count_if(shape.dims().begin(), shape.dims().end(),
                                         [](std::int64_t dim) { return dim > 1; }) <= 1;
  return (op == "MatMul" || op == "Gemm" || op == "Conv") && shape.rank() >= 1 && per_channel;
}

bool is_trainable_slot(const Graph& graph, const Node& node, const OpDef& row, std::size_t slot) {
  if (slot >= 32 || ((row.parameter_inputs >> slot) & 1u) == 0) return false;
  const Value& value = graph.value(node.inputs[slot]);
  if (value.kind != ValueKind::kConstant || value.type.dtype != DType::kFloat32) return false;
  if (row.elementwise) return is_bias_of_layer(graph, node, slot);
  return true;
}

void check_globs_match(const std::vector<std::string>& patterns,
                       const std::vector<std::string>& names, const char* flag) {
  for (const std::string& pattern : patterns) {
    if (std::none_of(names.begin(), names.end(),
                     [&](const std::string& name) { return matches_glob(pattern, name); })) {
      fail_input(flag, "{} matches no parameter", pattern);
    }
  }
}

}  // namespace

bool matches_glob(const std::string& pattern, const std::string& text) {
  return fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

void select_parameters(TrainableModel& model, const TrainingSelection& selection) {
  Graph& graph = model.graph;
  std::vector<std::string> candidates;
  for (const Node& node : graph.nodes) {
    const OpDef& row = op_row(node.op);
    bool trains = false;
    for (std::size_t slot = 0; slot < node.inputs.size(); ++slot) {
      if (node.inputs[slot] == kNoValue || !is_trainable_slot(graph, node, row, slot)) continue;
      Value& value = graph.value(node.inputs[slot]);
      candidates.push_back(value.name);
      if (!selection.train.empty() && !matches_any(selection.train, value.name)) continue;
      if (matches_any(selection.freeze, value.name)) continue;
      value.kind = ValueKind::kState;
      model.parameters.push_back({value.name, value.type.shape, decays(row, value.type.shape)});
      trains = true;
    }
    for (std::size_t slot = 0; trains && slot < node.inputs.size() && slot < 32; ++slot) {
      if (((row.statistic_inputs >> slot) & 1u) == 0) continue;
      Value& value = graph.value(node.inputs[slot]);
      if (value.kind != ValueKind::kConstant) continue;
      value.kind = ValueKind::kState;
      model.statistics.push_back(value.name);
    }
  }
  check_globs_match(selection.train, candidates, "--train");
  check_globs_match(selection.freeze, candidates, "--freeze");
  if (model.parameters.empty()) {
    fail_input("fit", "nothing is left to train: {} parameters, all frozen", candidates.size());
  }
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "backend/reference/interpreter.h"

#include "backend/reference/reference.h"
#include "base/check.h"

namespace batchwise::reference {
namespace {

const ReferenceRow& row_of(const NodeView& view) {
  const ReferenceRow* row = find_reference(view.node().op);
  if (row == nullptr) fail_input(view.where(), "has no reference kernel");
  return *row;
}

// Runs one node on tensors: inputs[i] is null where input i is absent (or not read).
std::vector<Tensor> run_node(const NodeView& view, std::span<const Tensor* const> inputs,
                             const RunState& state) {
  BW_CHECK(view.node().epilogue.empty(), "{} has an epilogue", view.where());
  std::vector<Tensor> dense;  // keeps splats' dense forms until the kernel has run
  dense.reserve(inputs.size());
  std::vector<const void*> input_data;
  for (const Tensor* tensor : inputs) {
    dense.push_back(tensor != nullptr ? tensor->materialized() : Tensor());
    input_data.push_back(dense.back().data());
  }
  std::vector<Tensor> outputs;
  std::vector<void*> output_data;
  for (int o = 0; o < view.num_outputs(); ++o) {
    outputs.push_back(view.has_output(o)
                          ? Tensor::zeros(view.output_value(o).type.dtype, view.output(o))
                          : Tensor());
    output_data.push_back(outputs.back().mutable_data());
  }
  // Arrays are never empty, so that kernels may take &inputs[0].
  input_data.push_back(nullptr);
  output_data.push_back(nullptr);
  row_of(view).run({view, input_data.data(), output_data.data(), state});
  return outputs;
}

// The state that output o of a node overwrites, or kNoValue.
ValueId overwritten_state(const Graph& graph, const NodeView& view, int o) {
  const OpDef& row = op_row(view.node().op);
  int input = static_cast<std::size_t>(o) < row.updates.size()
                  ? row.updates[static_cast<std::size_t>(o)]
                  : -1;
  if (row.accumulates && o == 0 && view.num_inputs() == row.max_inputs) input = row.max_inputs - 1;
  if (input < 0 || !view.has_input(input)) return kNoValue;
  return graph.value(view.input_id(input)).kind == ValueKind::kState ? view.input_id(input)
                                                                     : kNoValue;
}

// The values of a run, each in a tensor of its own.
class Interpretation {
 public:
  Interpretation(const Graph& graph, std::map<ValueId, Tensor>& states)
      : graph_(graph), states_(states), values_(graph.values.size()) {}

  void set_input(ValueId id, const Tensor& tensor) {
    const TensorType& type = graph_.type(id);
    if (tensor.dtype() != type.dtype || !(tensor.shape() == type.shape)) {
      fail_input("interpret", "input {} is {}{}, not {}{}", graph_.value(id).name,
                 dtype_name(type.dtype), type.shape.to_string(), dtype_name(tensor.dtype()),
                 tensor.shape().to_string());
    }
    values_[index(id)] = tensor;
  }

  const Tensor& get(ValueId id) {
    const Value& value = graph_.value(id);
    if (value.kind == ValueKind::kConstant) return *value.constant;
    if (value.kind == ValueKind::kState) return state(id);
    return values_[index(id)];
  }

  void run(const Node& node, const RunState& run_state) {
    const NodeView view(graph_, node);
    std::vector<const Tensor*> inputs;
    for (ValueId id : node.inputs) inputs.push_back(id == kNoValue ? nullptr : &get(id));
    std::vector<Tensor> outputs = run_node(view, inputs, run_state);
    for (int o = 0; o < view.num_outputs(); ++o) {
      if (!view.has_output(o)) continue;
      Tensor& output = outputs[static_cast<std::size_t>(o)];
      const ValueId overwritten = overwritten_state(graph_, view, o);
      if (overwritten != kNoValue) states_[overwritten] = output;
      values_[index(view.output_id(o))] = std::move(output);
    }
  }

 private:
  const Tensor& state(ValueId id) {
    const auto it = states_.find(id);
    if (it != states_.end()) return it->second;
    const Value& value = graph_.value(id);
    Tensor initial = value.constant ? value.constant->materialized()
                                    : Tensor::zeros(value.type.dtype, value.type.shape);
    return states_.emplace(id, std::move(initial)).first->second;
  }

  const Graph& graph_;
  std::map<ValueId, Tensor>& states_;
  std::vector<Tensor> values_;
};

}  // namespace

std::vector<Tensor> interpret(const Graph& graph, std::span<const Tensor> inputs,
                              std::map<ValueId, Tensor>* states, const RunState& state) {
  if (inputs.size() != graph.inputs.size()) {
    fail_input("interpret", "the graph has {} inputs, not {}", graph.inputs.size(), inputs.size());
  }
  std::map<ValueId, Tensor> own_states;
  Interpretation run(graph, states != nullptr ? *states : own_states);
  for (std::size_t i = 0; i < inputs.size(); ++i) run.set_input(graph.inputs[i], inputs[i]);
  for (const Node& node : graph.nodes) run.run(node, state);
  std::vector<Tensor> outputs;
  for (ValueId id : graph.outputs) outputs.push_back(run.get(id));
  return outputs;
}

bool can_evaluate(const Graph& graph, NodeId id) {
  const NodeView view(graph, graph.node(id));
  const ReferenceRow* row = find_reference(view.node().op);
  if (row == nullptr || row->reads_run_state || node_has_effect(view.node())) return false;
  if (!view.node().epilogue.empty()) return false;
  if (row->reads_shapes_only) return true;
  for (int i = 0; i < view.num_inputs(); ++i) {
    if (view.has_input(i) && view.constant(i) == nullptr) return false;
  }
  return true;
}

std::vector<Tensor> evaluate_node(const Graph& graph, NodeId id) {
  BW_CHECK(can_evaluate(graph, id), "{}", NodeView(graph, graph.node(id)).where());
  const NodeView view(graph, graph.node(id));
  std::vector<const Tensor*> inputs;
  for (int i = 0; i < view.num_inputs(); ++i) inputs.push_back(view.constant(i));
  return run_node(view, inputs, RunState());
}

}  // namespace batchwise::reference

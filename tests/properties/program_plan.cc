// SPDX-License-Identifier: Apache-2.0
#include "program_plan.h"

#include <fmt/format.h>

#include <map>

#include "ops/op.h"
#include "plan/check_plan.h"

namespace batchwise::properties {
namespace {

constexpr std::int64_t kAlignment = 64;

class LayoutReader {
 public:
  LayoutReader(const CompiledProgram& program, std::span<const Place> places)
      : program_(program), graph_(program.graph()), places_(places) {
    for (const Step& step : program.steps()) has_step_[step.node] = true;
  }

  ProgramLayout read() {
    for (std::size_t s = 0; s < program_.steps().size(); ++s) read_step(static_cast<int>(s));
    layout_.plan.peak_bytes = program_.memory().arena_bytes;
    layout_.plan.lower_bound_bytes = program_.memory().lower_bound_bytes;
    return std::move(layout_);
  }

 private:
  // The value whose bytes these are: what no step makes has those of its producer's first input.
  ValueId made_by_step(ValueId id) const {
    for (;;) {
      const NodeId producer = graph_.value(id).producer;
      if (producer == kNoNode || has_step_.count(producer) != 0) return id;
      id = graph_.node(producer).inputs[0];
    }
  }

  const Place& place_of(const Step& step, int argument) const {
    return places_[static_cast<std::size_t>(step.first_place) + static_cast<std::size_t>(argument)];
  }

  int add_row(std::int64_t bytes, std::int64_t offset, int s, int shares_with) {
    layout_.rows.push_back({.bytes = bytes,
                            .alignment = kAlignment,
                            .first_step = s,
                            .last_step = s,
                            .shares_with = shares_with});
    layout_.plan.offsets.push_back(offset);
    return static_cast<int>(layout_.rows.size()) - 1;
  }

  void read_step(int s) {
    const Step& step = program_.steps()[static_cast<std::size_t>(s)];
    const Node& node = graph_.node(step.node);
    for (int i = 0; i < step.num_inputs; ++i) use_input(s, step, node, i);
    for (int o = 0; o < step.num_outputs; ++o) add_output(s, step, node, o);
    const std::int64_t scratch = step.kernel->scratch_bytes();
    if (scratch > 0) add_row(scratch, step.scratch_offset, s, -1);
  }

  void use_input(int s, const Step& step, const Node& node, int i) {
    const Place& place = place_of(step, i);
    if (place.kind != PlaceKind::kPlanned) return;
    const ValueId id = made_by_step(node.inputs[static_cast<std::size_t>(i)]);
    const auto row = row_of_.find(id);
    if (row == row_of_.end()) {
      layout_.faults.push_back(
          fmt::format("step {}: {} is read and was never written", s, graph_.value(id).name));
      return;
    }
    const auto at = static_cast<std::size_t>(row->second);
    if (layout_.plan.offsets[at] != place.at) {
      layout_.faults.push_back(fmt::format("step {}: {} is read at {} and was written at {}", s,
                                           graph_.value(id).name, place.at,
                                           layout_.plan.offsets[at]));
    }
    layout_.rows[at].last_step = s;
  }

  void add_output(int s, const Step& step, const Node& node, int o) {
    const Place& place = place_of(step, step.num_inputs + o);
    if (place.kind != PlaceKind::kPlanned) return;
    const ValueId id = node.outputs[static_cast<std::size_t>(o)];
    const TensorType& type = graph_.type(id);
    const std::int64_t bytes =
        type.shape.elements() * static_cast<std::int64_t>(dtype_bytes(type.dtype));
    row_of_[id] = add_row(bytes, place.at, s, o == 0 ? taken_over(step, node, place) : -1);
  }

  // The row of an input that the op may write over and that lies where the output does.
  int taken_over(const Step& step, const Node& node, const Place& output) const {
    const std::uint32_t mask = op_row(node.op).in_place_inputs;
    for (int i = 0; i < step.num_inputs && i < 32; ++i) {
      const Place& place = place_of(step, i);
      const bool may = ((mask >> i) & 1u) != 0 && place.kind == PlaceKind::kPlanned;
      if (!may || place.at != output.at) continue;
      const auto row = row_of_.find(made_by_step(node.inputs[static_cast<std::size_t>(i)]));
      if (row != row_of_.end()) return row->second;
    }
    return -1;
  }

  const CompiledProgram& program_;
  const Graph& graph_;
  std::span<const Place> places_;
  std::map<NodeId, bool> has_step_;
  std::map<ValueId, int> row_of_;
  ProgramLayout layout_;
};

}  // namespace

ProgramLayout layout_of(const CompiledProgram& program, std::span<const Place> places) {
  return LayoutReader(program, places).read();
}

std::string plan_faults(const CompiledProgram& program, std::span<const Place> places) {
  const ProgramLayout layout = layout_of(program, places);
  std::string lines;
  for (const std::string& fault : layout.faults) lines += fault + '\n';
  for (const std::string& fault : check_plan(layout.rows, layout.plan)) lines += fault + '\n';
  return lines;
}

std::string plan_faults(const CompiledProgram& program) {
  return plan_faults(program, program.places());
}

}  // namespace batchwise::properties

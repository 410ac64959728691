// SPDX-License-Identifier: Apache-2.0
#include "engine/compile.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "engine/constant_expressions.h"
#include "engine/layouts.h"

namespace batchwise {
namespace {

constexpr std::int64_t kAlignment = 64;

std::int64_t value_bytes(const Graph& graph, ValueId id) {
  const TensorType& type = graph.type(id);
  return type.shape.elements() * static_cast<std::int64_t>(dtype_bytes(type.dtype));
}

bool is_view(const Graph& graph, const Node& node) {
  if (op_row(node.op).view || is_free_transpose(graph, node)) return true;
  // A reorder between layouts that are the same bytes.
  return node.op == "Reorder" && !layout_matters(graph.shape(node.inputs[0]));
}

}  // namespace

// Turns a graph into steps, places and a plan; the working state of CompiledProgram's constructor.
class ProgramCompiler {
 public:
  explicit ProgramCompiler(CompiledProgram& program)
      : program_(program), graph_(program.graph_), options_(program.options_) {}

  void run() {
    assign_layouts(graph_, options_.threads, options_.backends);
    constant_ = find_constant_values(graph_);
    find_roots();
    choose_kernels();
    claim_outputs();
    plan();
    place_arguments();
    add_copies();
    count_constants();
    program_.memory_.table_bytes += heap_bytes(program_);
  }

 private:
  ValueId root(ValueId id) const { return roots_[index(id)]; }

  // Views and in-place updates have the memory of another value: its root.
  void find_roots() {
    roots_.resize(graph_.values.size());
    for (std::size_t i = 0; i < roots_.size(); ++i) roots_[i] = ValueId(i);
    for (const Node& node : graph_.nodes) {
      const OpDef& row = op_row(node.op);
      if (is_view(graph_, node) && !is_constant(node.outputs[0])) {
        roots_[index(node.outputs[0])] = root(node.inputs[0]);
      }
      for (std::size_t o = 0; o < node.outputs.size() && o < row.updates.size(); ++o) {
        if (row.updates[o] < 0 || node.outputs[o] == kNoValue) continue;
        roots_[index(node.outputs[o])] =
            root(node.inputs[static_cast<std::size_t>(row.updates[o])]);
      }
      if (row.accumulates && graph_.value(node.inputs.back()).kind == ValueKind::kState) {
        roots_[index(node.outputs[0])] = root(node.inputs.back());
      }
    }
  }

  bool is_constant(ValueId id) const { return constant_[index(id)]; }

  void choose_kernels() {
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      if (is_view(graph_, node) || is_constant(node.outputs.front())) continue;
      KernelRequest request(graph_, node, options_.threads);
      Step step;
      step.node = NodeId(n);
      step.choice = choose_kernel(request, options_.backends);
      for (int i = 0; i < request.num_inputs(); ++i) {
        if (packing_of(request, step.choice, i)) request.packed_inputs |= 1u << i;
      }
      step.kernel = step.choice.kernel->prepare(request);
      program_.memory_.table_bytes += step.kernel->table_bytes();
      program_.steps_.push_back(std::move(step));
    }
  }

  // The first output of the graph with a computed root writes straight into the caller's memory.
  void claim_outputs() {
    for (std::size_t o = 0; o < graph_.outputs.size(); ++o) {
      const ValueId from = root(graph_.outputs[o]);
      if (graph_.value(from).kind == ValueKind::kComputed && !is_constant(from)) {
        output_of_.emplace(from, static_cast<int>(o));
      }
    }
  }

  bool is_planned(ValueId id) const {
    return graph_.value(id).kind == ValueKind::kComputed && root(id) == id && !is_constant(id) &&
           output_of_.count(id) == 0;
  }

  void plan() {
    std::map<ValueId, int> row_of;
    for (std::size_t s = 0; s < program_.steps_.size(); ++s) add_rows(static_cast<int>(s), row_of);
    program_.plan_ = plan_memory(rows_);
    for (const auto& [value, row] : row_of)
      offsets_[value] = program_.plan_.offsets[static_cast<std::size_t>(row)];
    for (std::size_t s = 0; s < program_.steps_.size(); ++s) {
      if (scratch_rows_[s] >= 0) {
        program_.steps_[s].scratch_offset =
            program_.plan_.offsets[static_cast<std::size_t>(scratch_rows_[s])];
      }
    }
    program_.memory_.arena_bytes = program_.plan_.peak_bytes;
    program_.memory_.lower_bound_bytes = program_.plan_.lower_bound_bytes;
    program_.memory_.scratch_at_peak_bytes = scratch_at_peak();
  }

  void add_rows(int s, std::map<ValueId, int>& row_of) {
    const Step& step = program_.steps_[static_cast<std::size_t>(s)];
    const Node& node = graph_.node(step.node);
    for (ValueId id : node.inputs) {
      if (id == kNoValue || !is_planned(root(id))) continue;
      const auto it = row_of.find(root(id));
      BW_CHECK(it != row_of.end(), "{} is used before it is made", graph_.value(id).name);
      rows_[static_cast<std::size_t>(it->second)].last_step = s;
    }
    for (std::size_t o = 0; o < node.outputs.size(); ++o) {
      const ValueId id = node.outputs[o];
      if (id == kNoValue || !is_planned(id)) continue;
      row_of[id] = static_cast<int>(rows_.size());
      rows_.push_back({.bytes = value_bytes(graph_, id),
                       .alignment = kAlignment,
                       .first_step = s,
                       .last_step = s,
                       .shares_with = o == 0 ? in_place_row(node, id, row_of) : -1});
    }
    scratch_rows_.push_back(-1);
    const std::int64_t scratch = step.kernel->scratch_bytes();
    if (scratch > 0) {
      scratch_rows_.back() = static_cast<int>(rows_.size());
      rows_.push_back({.bytes = scratch,
                       .alignment = kAlignment,
                       .first_step = s,
                       .last_step = s,
                       .shares_with = -1});
    }
    if (!options_.share_memory) {
      for (BufferRow& row : rows_)
        row.first_step = 0, row.last_step = 1 << 20, row.shares_with = -1;
    }
  }

  // The row whose memory the node's output may take over; the planner checks that it dies here.
  int in_place_row(const Node& node, ValueId output, const std::map<ValueId, int>& row_of) const {
    const std::uint32_t mask = op_row(node.op).in_place_inputs;
    for (std::size_t i = 0; i < node.inputs.size() && i < 32; ++i) {
      const ValueId id = node.inputs[i];
      if (id == kNoValue || ((mask >> i) & 1u) == 0) continue;
      const auto it = row_of.find(root(id));
      if (it == row_of.end() || value_bytes(graph_, id) != value_bytes(graph_, output)) continue;
      if (graph_.value(id).layout != graph_.value(output).layout) continue;
      if (last_use(root(id)) == graph_.value(output).producer) return it->second;
    }
    return -1;
  }

  // The last node that uses a value or a view of it.
  NodeId last_use(ValueId of) const {
    for (std::size_t n = graph_.nodes.size(); n-- > 0;) {
      if (is_view(graph_, graph_.nodes[n])) continue;
      for (ValueId id : graph_.nodes[n].inputs) {
        if (id != kNoValue && root(id) == of) return NodeId(n);
      }
    }
    return kNoNode;
  }

  std::int64_t scratch_at_peak() const {
    std::int64_t best = -1, scratch = 0;
    for (std::size_t s = 0; s < program_.steps_.size(); ++s) {
      std::int64_t live = 0;
      for (const BufferRow& row : rows_) {
        if (row.first_step <= static_cast<int>(s) && static_cast<int>(s) <= row.last_step) {
          live += row.bytes;
        }
      }
      if (live > best) {
        best = live;
        scratch =
            scratch_rows_[s] < 0 ? 0 : rows_[static_cast<std::size_t>(scratch_rows_[s])].bytes;
      }
    }
    return scratch;
  }

  void place_arguments() {
    for (Step& step : program_.steps_) {
      const Node& node = graph_.node(step.node);
      const KernelRequest request(graph_, node, options_.threads);
      step.first_place = static_cast<int>(program_.places_.size());
      step.num_inputs = static_cast<int>(node.inputs.size());
      step.num_outputs = static_cast<int>(node.outputs.size());
      for (int i = 0; i < step.num_inputs; ++i) {
        program_.places_.push_back(input_place(request, step.choice, i));
      }
      for (ValueId id : node.outputs)
        program_.places_.push_back(id == kNoValue ? Place{} : place(id));
    }
  }

  // Only what is known before a run can be packed before it.
  std::optional<Attributes> packing_of(const KernelRequest& request, const KernelChoice& choice,
                                       int i) const {
    if (choice.kernel->packing == nullptr || !request.has_input(i)) return std::nullopt;
    const ValueId id = request.input_id(i);
    const bool is_state = graph_.value(root(id)).kind == ValueKind::kState;
    if (!is_constant(id) && !is_state) return std::nullopt;
    return choice.kernel->packing(request, i);
  }

  Place input_place(const KernelRequest& request, const KernelChoice& choice, int i) {
    if (!request.has_input(i)) return {};
    const ValueId id = request.input_id(i);
    const auto packing = packing_of(request, choice, i);
    if (!packing) return place(id);
    const std::int64_t bytes = packing->get_int("floats") * 4;
    return is_constant(id) ? constant_place(id, bytes, packing, choice.backend)
                           : state_place(root(id), bytes, packing, choice.backend);
  }

  Place place(ValueId id) {
    const ValueId from = root(id);
    if (is_constant(id)) return constant_place(id, value_bytes(graph_, id), {}, nullptr);
    const Value& value = graph_.value(from);
    if (value.kind == ValueKind::kInput) {
      const auto it = std::find(graph_.inputs.begin(), graph_.inputs.end(), from);
      return {PlaceKind::kInput, it - graph_.inputs.begin()};
    }
    if (value.kind == ValueKind::kState)
      return state_place(from, value_bytes(graph_, from), {}, nullptr);
    if (const auto it = output_of_.find(from); it != output_of_.end()) {
      return {PlaceKind::kOutput, it->second};
    }
    const auto it = offsets_.find(from);
    return it == offsets_.end() ? Place{} : Place{PlaceKind::kPlanned, it->second};
  }

  Place constant_place(ValueId id, std::int64_t bytes, const std::optional<Attributes>& packing,
                       const Backend* backend) {
    std::string key = constant_key(graph_, id);
    if (graph_.value(id).layout == Layout::kChannelsLast) key += " channels-last";
    if (packing) key += " pack{" + packing->to_string() + "}";
    for (std::size_t i = 0; i < program_.constants_.size(); ++i) {
      if (program_.constants_[i].key == key)
        return {PlaceKind::kConstant, static_cast<std::int64_t>(i)};
    }
    program_.constants_.push_back({key, id, bytes, packing, backend, nullptr});
    return {PlaceKind::kConstant, static_cast<std::int64_t>(program_.constants_.size()) - 1};
  }

  Place state_place(ValueId id, std::int64_t bytes, const std::optional<Attributes>& packing,
                    const Backend* backend) {
    const std::string& name = graph_.value(id).name;
    const std::string key = packing ? fmt::format("pack.{}.{}", name, packing->to_string()) : name;
    int found = program_.find_state(key);
    if (found < 0) {
      found = static_cast<int>(program_.states_.size());
      program_.states_.push_back({key, name, graph_.type(id), bytes, packing, backend});
    }
    return {PlaceKind::kState, found};
  }

  void add_copies() {
    for (std::size_t o = 0; o < graph_.outputs.size(); ++o) {
      const ValueId id = graph_.outputs[o];
      const Place from = place(id);
      if (from.kind == PlaceKind::kOutput && from.at == static_cast<std::int64_t>(o)) continue;
      program_.copies_.push_back({from, static_cast<int>(o), value_bytes(graph_, id)});
    }
  }

  // Constants are made in their order: the most that is held while one is made, with what it is
  // made from, may be more than what stays.
  void count_constants() {
    ProgramMemory& memory = program_.memory_;
    std::int64_t held = 0, most = 0;
    for (const ConstantUse& use : program_.constants_) {
      (use.packing ? memory.packed_constant_bytes : memory.dense_constant_bytes) += use.bytes;
      held += use.bytes;
      if (use.packing) most = std::max(most, held + load_cost(graph_, use.value));
    }
    memory.load_bytes = std::max<std::int64_t>(0, most - held);
  }

  CompiledProgram& program_;
  Graph& graph_;
  const ProgramOptions& options_;
  std::vector<bool> constant_;
  std::vector<ValueId> roots_;
  std::map<ValueId, int> output_of_;
  std::map<ValueId, std::int64_t> offsets_;
  std::vector<BufferRow> rows_;
  std::vector<int> scratch_rows_;
};

void compile_program(CompiledProgram& program) { ProgramCompiler(program).run(); }

}  // namespace batchwise

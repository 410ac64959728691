// SPDX-License-Identifier: Apache-2.0
// What a session does before its first step: programs, states, memory.
#include <algorithm>
#include <map>
#include <set>

#include "fit/training_passes.h"
#include "fit/training_session.h"

namespace batchwise {

namespace {

std::int64_t levels_of(std::int64_t lanes) {
  std::int64_t levels = 0;
  while ((std::int64_t{1} << levels) < lanes) ++levels;
  return levels;
}

}  // namespace

Objective objective_of(const TrainingOptions& options) {
  return {options.loss, options.custom_loss, options.custom_metric, options.integer_labels,
          options.output_name};
}

TrainingSession::TrainingSession(std::shared_ptr<const TrainableModel> model,
                                 const TrainingOptions& options, bool plan_only)
    : model_(std::move(model)), options_(options), plan_only_(plan_only) {
  granule_ = 1;
  if (model_->normalizes_batch) granule_ = options_.ghost_batch;  // 0: in one piece
  build();
}

void TrainingSession::build() {
  const std::int64_t wanted = options_.micro_batch > 0 ? options_.micro_batch : options_.batch_size;
  set_cut(wanted);
  step_graph_ = make_step_graph(*model_, micro_batch_, objective_of(options_));
  if (step_graph_.single_sample) {
    set_cut(1);
    step_graph_ = make_step_graph(*model_, micro_batch_, objective_of(options_));
  }
  const ProgramOptions program_options{options_.threads, options_.backends, plan_only_};
  update_ = std::make_shared<CompiledProgram>(
      make_update_graph(*model_, step_graph_, options_.optimizer), program_options, constants_);
  prepare_sizes();
  announce_states();
  measure_memory();
  if (plan_only_) return;
  pool_ = std::make_shared<ThreadPool>(options_.threads);
  arena_ = std::make_shared<MappedBuffer>(memory_.arena_bytes);
  for (StateStore* store : {&weights_, &optimizer_, &gradients_, &packed_}) store->map();
  make_room(cut_batch(options_.batch_size));
  load_initial_values();
  update_workspace_ = std::make_unique<Workspace>(update_, arena_, pool_, state_pointers(*update_));
  repack();
}

void TrainingSession::set_cut(std::int64_t wanted_micro_batch) {
  const TrainingCut cut = cut_training_batch(options_.batch_size, granule_, wanted_micro_batch);
  micro_batch_ = cut.micro_batch;
  whole_granules_ = cut.whole_granules;
}

// Memory for the lanes and slices of a batch; it grows only where a batch has a size that was not
// announced.
void TrainingSession::make_room(const TrainingCut& cut) {
  while (static_cast<std::int64_t>(lane_sums_.size()) < levels_of(cut.lanes)) {
    lane_sums_.emplace_back(gradients_.total_bytes());
  }
  largest_slice_ = std::max(largest_slice_, cut.micro_batch);
  if (losses_.bytes() >= largest_slice_ * 4) return;
  losses_ = MappedBuffer(largest_slice_ * 4);
  predictions_ = MappedBuffer(largest_slice_ * output_floats_ * 4);
  metrics_ = MappedBuffer(largest_slice_ * 4);
}

// Programs for every size of piece that full and last batches are cut into.
void TrainingSession::prepare_sizes() {
  std::set<std::int64_t> sizes;
  for (std::int64_t batch : {options_.batch_size, options_.last_batch_size}) {
    if (batch == 0) continue;
    for (const BatchSlice& piece : cut_batch(batch).slices) sizes.insert(piece.count);
  }
  largest_slice_ = *sizes.rbegin();
  for (std::int64_t size : sizes) programs_[size].program = compile(size, true);
  if (options_.evaluates) {
    evaluation_programs_[micro_batch_].program = compile(micro_batch_, false);
  }
}

std::shared_ptr<const CompiledProgram> TrainingSession::compile(std::int64_t samples,
                                                                bool training) {
  Graph graph = training ? make_step_graph(*model_, samples, objective_of(options_)).graph
                         : make_evaluation_graph(*model_, samples, objective_of(options_));
  run_training_passes(graph, options_.threads, options_.backends);
  output_floats_ = graph.shape(graph.outputs[1]).elements() / samples;
  return std::make_shared<CompiledProgram>(
      std::move(graph), ProgramOptions{options_.threads, options_.backends, plan_only_},
      constants_);
}

void TrainingSession::announce_states() {
  std::vector<const CompiledProgram*> all{update_.get()};
  for (const auto& [size, prepared] : programs_) all.push_back(prepared.program.get());
  for (const auto& [size, prepared] : evaluation_programs_) all.push_back(prepared.program.get());
  std::set<std::string> packed_keys;
  for (const CompiledProgram* program : all) {
    for (const StateUse& use : program->states()) {
      if (use.packing) {
        packed_.add(use.key, use.bytes);
        if (packed_keys.insert(use.key).second) packed_uses_.push_back(use);
      } else if (use.state.rfind("gradient.", 0) == 0) {
        gradients_.add(use.key, use.bytes);
      } else if (use.state.rfind("optimizer.", 0) == 0) {
        optimizer_.add(use.key, use.bytes);
      } else {
        weights_.add(use.key, use.bytes);
      }
    }
  }
  for (const StateUse& use : packed_uses_) {
    if (!weights_.has(use.state)) weights_.add(use.state, use.type.shape.elements() * 4);
  }
}

void TrainingSession::load_initial_values() {
  const Graph& graph = model_->graph;
  for (const Value& value : graph.values) {
    if (value.kind != ValueKind::kState || !weights_.has(value.name)) continue;
    if (!value.constant) continue;
    value.constant->copy_to(weights_.data(value.name));
    value.constant->release_pages();
  }
}

std::vector<void*> TrainingSession::state_pointers(const CompiledProgram& program) const {
  std::vector<void*> pointers;
  for (const StateUse& use : program.states()) {
    const StateStore& store = use.packing                             ? packed_
                              : use.state.rfind("gradient.", 0) == 0  ? gradients_
                              : use.state.rfind("optimizer.", 0) == 0 ? optimizer_
                                                                      : weights_;
    pointers.push_back(store.data(use.key));
  }
  return pointers;
}

void TrainingSession::measure_memory() {
  memory_.weights_bytes = weights_.total_bytes();
  memory_.optimizer_bytes = optimizer_.total_bytes();
  memory_.packed_weights_bytes = packed_.total_bytes();
  const std::int64_t lanes = cut_batch(options_.batch_size).lanes;
  memory_.gradient_bytes = gradients_.total_bytes() * (1 + levels_of(lanes));
  const auto add = [&](const CompiledProgram& program) {
    if (program.memory().arena_bytes > memory_.arena_bytes) {
      memory_.arena_bytes = program.memory().arena_bytes;
      memory_.scratch_bytes = program.memory().scratch_at_peak_bytes;
      memory_.lower_bound_bytes = program.memory().lower_bound_bytes;
    }
    memory_.constant_bytes += program.memory().dense_constant_bytes;
    memory_.table_bytes += program.memory().table_bytes;
  };
  for (const auto* all : {&programs_, &evaluation_programs_}) {
    for (const auto& [size, prepared] : *all) add(*prepared.program);
  }
  add(*update_);
  memory_.io_bytes = largest_slice_ * 4 * (2 + output_floats_);
}

double TrainingSession::estimate_us_per_sample(const MachineSpeed& machine) const {
  std::map<std::int64_t, double> us_of;
  double us = 0;
  for (const BatchSlice& slice : cut_batch(options_.batch_size).slices) {
    const auto [found, is_new] = us_of.try_emplace(slice.count);
    if (is_new) found->second = estimate_run_us(*programs_.at(slice.count).program, machine);
    us += found->second;
  }
  return us / static_cast<double>(options_.batch_size);
}

}  // namespace batchwise

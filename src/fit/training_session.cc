// SPDX-License-Identifier: Apache-2.0
#include "fit/training_session.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "base/check.h"
#include "base/sha256.h"
#include "fit/lane_sums.h"
#include "fit/training_passes.h"

namespace batchwise {
namespace {

std::int64_t levels_of(std::int64_t lanes) {
  std::int64_t levels = 0;
  while ((std::int64_t{1} << levels) < lanes) ++levels;
  return levels;
}

}  // namespace

TrainingSession::TrainingSession(std::shared_ptr<const TrainableModel> model,
                                 const TrainingOptions& options, bool plan_only)
    : model_(std::move(model)), options_(options), plan_only_(plan_only) {
  granule_ = 1;
  if (model_->normalizes_batch) granule_ = options_.ghost_batch;  // 0: in one piece
  build();
}

void TrainingSession::build() {
  const std::int64_t wanted = options_.micro_batch > 0 ? options_.micro_batch : options_.batch_size;
  micro_batch_ = cut_training_batch(options_.batch_size, granule_, wanted).micro_batch;
  step_graph_ = make_step_graph(*model_, micro_batch_, options_.loss, options_.output_name);
  if (step_graph_.single_sample) {
    micro_batch_ = 1;
    step_graph_ = make_step_graph(*model_, 1, options_.loss, options_.output_name);
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
  const std::int64_t most_lanes =
      cut_training_batch(options_.batch_size, granule_, micro_batch_).lanes;
  for (std::int64_t level = 0; level < levels_of(most_lanes); ++level) {
    lane_sums_.emplace_back(gradients_.total_bytes());
  }
  losses_ = MappedBuffer(micro_batch_ * 4);
  predictions_ = MappedBuffer(micro_batch_ * output_floats_ * 4);
  load_initial_values();
  update_workspace_ = std::make_unique<Workspace>(update_, arena_, pool_, state_pointers(*update_));
  repack();
}

// Programs for every size of piece that full and last batches are cut into.
void TrainingSession::prepare_sizes() {
  std::set<std::int64_t> sizes;
  for (std::int64_t batch : {options_.batch_size, options_.last_batch_size}) {
    if (batch == 0) continue;
    for (const BatchPiece& piece : cut_training_batch(batch, granule_, micro_batch_).pieces) {
      sizes.insert(piece.count);
    }
  }
  for (std::int64_t size : sizes) programs_[size].program = compile(size, true);
  if (options_.evaluates) {
    evaluation_programs_[micro_batch_].program = compile(micro_batch_, false);
  }
}

std::shared_ptr<const CompiledProgram> TrainingSession::compile(std::int64_t samples,
                                                                bool training) {
  Graph graph = training
                    ? make_step_graph(*model_, samples, options_.loss, options_.output_name).graph
                    : make_evaluation_graph(*model_, samples, options_.loss, options_.output_name);
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
    if (value.constant) value.constant->copy_to(weights_.data(value.name));
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

void TrainingSession::repack() {
  for (const StateUse& use : packed_uses_) {
    use.backend->pack(*use.packing, use.type, weights_.data(use.state),
                      reinterpret_cast<float*>(packed_.data(use.key)), *pool_);
  }
}

Workspace& TrainingSession::workspace(Programs& programs, std::int64_t samples) {
  Prepared& entry = programs[samples];
  if (!entry.program) entry.program = compile(samples, &programs == &programs_);
  if (entry.program->memory().arena_bytes > arena_->bytes()) {
    // A batch size that was not announced: all workspaces move to a larger arena.
    arena_ = std::make_shared<MappedBuffer>(entry.program->memory().arena_bytes);
    for (auto* all : {&programs_, &evaluation_programs_}) {
      for (auto& [size, other] : *all) other.workspace.reset();
    }
    update_workspace_ =
        std::make_unique<Workspace>(update_, arena_, pool_, state_pointers(*update_));
  }
  if (!entry.workspace) {
    entry.workspace =
        std::make_unique<Workspace>(entry.program, arena_, pool_, state_pointers(*entry.program));
  }
  return *entry.workspace;
}

StepResult TrainingSession::evaluate(const TrainingBatch& batch) {
  BW_CHECK(options_.evaluates && !plan_only_);
  StepResult result;
  for (const BatchPiece& piece : cut_evenly(batch.samples, micro_batch_)) {
    run_piece(evaluation_programs_, batch, piece, result);
  }
  result.samples = batch.samples;
  return result;
}

StepResult TrainingSession::step(const TrainingBatch& batch, double learning_rate) {
  BW_CHECK(!plan_only_ && batch.samples >= 1);
  StepResult result;
  const TrainingCut cut = cut_training_batch(batch.samples, granule_, micro_batch_);
  std::int64_t lane = -1;
  const double lane_scale = static_cast<double>(batch.nominal_samples) *
                            static_cast<double>(cut.lanes) / static_cast<double>(batch.samples);
  for (const BatchPiece& piece : cut.pieces) {
    if (piece.starts_lane && ++lane > 0) finish_lane(lane - 1, cut, result, lane_scale);
    run_piece(programs_, batch, piece, result);
  }
  finish_lane(lane, cut, result, lane_scale);
  if (options_.measure_gradients) {
    result.norm2 = squared_norm(gradients_.begin(), gradients_.total_bytes());
  }
  const auto rate = static_cast<float>(learning_rate);
  float norm = 0;
  const std::array<const void*, 1> inputs{&rate};
  std::array<void*, 1> outputs{&norm};
  const std::size_t num_outputs = update_->graph().outputs.size();
  update_workspace_->run(inputs, std::span<void* const>(outputs.data(), num_outputs),
                         {.seed = options_.seed, .step = steps_});
  result.gradient_norm = static_cast<double>(norm);
  repack();
  ++steps_;
  result.samples = batch.samples;
  return result;
}

void TrainingSession::run_piece(Programs& programs, const TrainingBatch& batch,
                                const BatchPiece& piece, StepResult& result) {
  Workspace& run = workspace(programs, piece.count);
  const Graph& graph = run.program().graph();
  std::array<const void*, 16> inputs{};
  const std::size_t data_inputs = batch.features.size() + 1;
  BW_CHECK(graph.inputs.size() >= data_inputs && graph.inputs.size() <= inputs.size());
  for (std::size_t i = 0; i < data_inputs; ++i) {
    const void* data = i < batch.features.size() ? batch.features[i] : batch.labels;
    const TensorType& type = graph.type(graph.inputs[i]);
    const std::int64_t sample_bytes =
        type.shape.elements() / piece.count * static_cast<std::int64_t>(dtype_bytes(type.dtype));
    inputs[i] = static_cast<const std::byte*>(data) + piece.first * sample_bytes;
  }
  const float loss_scale =
      1.0f / static_cast<float>(std::max<std::int64_t>(batch.nominal_samples, 1));
  inputs[data_inputs] = &loss_scale;
  const std::array<void*, 2> outputs{losses_.data(), predictions_.data()};
  run.run(std::span(inputs.data(), graph.inputs.size()), outputs,
          {.seed = options_.seed,
           .step = steps_,
           .first_sample = piece.first,
           .accumulate = !piece.starts_lane});
  count_metrics(batch, piece, result);
}

void TrainingSession::count_metrics(const TrainingBatch& batch, const BatchPiece& piece,
                                    StepResult& result) const {
  const auto* losses = reinterpret_cast<const float*>(losses_.data());
  const auto* outputs = reinterpret_cast<const float*>(predictions_.data());
  for (std::int64_t s = 0; s < piece.count; ++s) {
    result.loss_sum += static_cast<double>(losses[s]);
    const float* row = outputs + s * output_floats_;
    if (options_.loss == Loss::kCrossEntropy) {
      const std::int64_t label = static_cast<const std::int64_t*>(batch.labels)[piece.first + s];
      result.correct += std::max_element(row, row + output_floats_) - row == label;
    } else {
      const float* target =
          static_cast<const float*>(batch.labels) + (piece.first + s) * output_floats_;
      double sum = 0;
      for (std::int64_t j = 0; j < output_floats_; ++j) {
        sum += std::abs(static_cast<double>(row[j]) - static_cast<double>(target[j]));
      }
      result.absolute_error_sum += sum / static_cast<double>(output_floats_);
    }
  }
}

// Lane sums are added in a fixed binary tree: like carrying in a binary counter, the sum of the
// lanes so far moves up a level for each 1 in the lane's number.
void TrainingSession::finish_lane(std::int64_t lane, const TrainingCut& cut, StepResult& result,
                                  double scale) {
  if (options_.measure_gradients) {
    result.lane_norms2.push_back(squared_norm(gradients_.begin(), gradients_.total_bytes()) *
                                 scale * scale);
  }
  if (cut.lanes == 1) return;
  std::size_t level = 0;
  for (std::int64_t rest = lane; (rest & 1) != 0; rest >>= 1, ++level) {
    add_lane(lane_sums_[level].data(), gradients_.begin(), gradients_.total_bytes(), *pool_);
  }
  if (lane + 1 < cut.lanes) {
    std::memcpy(lane_sums_[level].data(), gradients_.begin(),
                static_cast<std::size_t>(gradients_.total_bytes()));
  } else {
    // Lanes that are no power of two leave sums on several levels.
    for (; level < lane_sums_.size() && ((cut.lanes >> level) != 0); ++level) {
      if (((lane >> level) & 1) != 0) {
        add_lane(lane_sums_[level].data(), gradients_.begin(), gradients_.total_bytes(), *pool_);
      }
    }
  }
}

void TrainingSession::measure_memory() {
  memory_.weights_bytes = weights_.total_bytes();
  memory_.optimizer_bytes = optimizer_.total_bytes();
  memory_.packed_weights_bytes = packed_.total_bytes();
  const std::int64_t lanes = cut_training_batch(options_.batch_size, granule_, micro_batch_).lanes;
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
  memory_.io_bytes = micro_batch_ * 4 * (1 + output_floats_);
}

std::span<const float> TrainingSession::state(const std::string& name) const {
  return {reinterpret_cast<const float*>(weights_.data(name)),
          static_cast<std::size_t>(weights_.bytes(name) / 4)};
}

std::string TrainingSession::weights_sha256() const {
  std::vector<std::string> names = model_->statistics;
  for (const Parameter& parameter : model_->parameters) names.push_back(parameter.name);
  std::sort(names.begin(), names.end());
  Sha256 hash;
  for (const std::string& name : names) {
    if (weights_.has(name))
      hash.update(weights_.data(name), static_cast<std::size_t>(weights_.bytes(name)));
  }
  return hash.hex();
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "fit/training_session.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "base/sha256.h"
#include "fit/lane_sums.h"

namespace batchwise {

void StepResult::clear() {
  std::vector<double> norms2 = std::move(lane_norms2);
  std::vector<std::int64_t> samples_of_lanes = std::move(lane_samples);
  *this = {};
  norms2.clear();
  samples_of_lanes.clear();
  lane_norms2 = std::move(norms2);
  lane_samples = std::move(samples_of_lanes);
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

TrainingCut TrainingSession::cut_batch(std::int64_t samples) const {
  return cut_training_batch(samples, granule_, whole_granules_);
}

void TrainingSession::begin_batch(std::int64_t samples, std::int64_t nominal_samples) {
  BW_CHECK(!plan_only_ && samples >= 1 && nominal_samples >= 1);
  cut_training_batch(samples, granule_, whole_granules_, cut_);
  make_room(cut_);
  next_slice_ = 0;
  lane_ = 0;
  lane_samples_ = 0;
  nominal_samples_ = nominal_samples;
  result_.clear();
  result_.samples = samples;
}

void TrainingSession::add_slice(const TrainingSamples& samples) {
  BW_CHECK(next_slice_ < cut_.slices.size() && samples.count == cut_.slices[next_slice_].count);
  const BatchSlice& slice = cut_.slices[next_slice_++];
  if (slice.starts_lane && slice.first > 0) finish_lane();
  lane_samples_ += slice.count;
  run_samples(programs_, samples,
              {.seed = options_.seed,
               .step = steps_,
               .first_sample = slice.first,
               .accumulate = !slice.starts_lane},
              result_);
}

const StepResult& TrainingSession::end_batch(double learning_rate) {
  BW_CHECK(next_slice_ == cut_.slices.size());
  finish_lane();
  if (options_.measure_gradients) {
    const double scale =
        static_cast<double>(nominal_samples_) / static_cast<double>(result_.samples);
    result_.norm2 = squared_norm(gradients_.begin(), gradients_.total_bytes()) * scale * scale;
  }
  const auto rate = static_cast<float>(learning_rate);
  float norm = 0;
  const std::array<const void*, 1> inputs{&rate};
  std::array<void*, 1> outputs{&norm};
  update_workspace_->run(inputs, std::span(outputs.data(), update_->graph().outputs.size()),
                         {.seed = options_.seed, .step = steps_});
  result_.gradient_norm = static_cast<double>(norm);
  repack();
  ++steps_;
  return result_;
}

const StepResult& TrainingSession::step(const TrainingSamples& batch, std::int64_t nominal_samples,
                                        double learning_rate) {
  begin_batch(batch.count, nominal_samples);
  const Graph& graph = programs_.begin()->second.program->graph();
  const std::int64_t prepared_samples = programs_.begin()->first;
  features_.resize(batch.features.size());
  const auto at = [&](const void* data, std::size_t input, std::int64_t first) {
    const TensorType& type = graph.type(graph.inputs[input]);
    return static_cast<const std::byte*>(data) +
           first * (type.shape.elements() / prepared_samples) *
               static_cast<std::int64_t>(dtype_bytes(type.dtype));
  };
  for (const BatchSlice& slice : cut_.slices) {
    for (std::size_t i = 0; i < features_.size(); ++i) {
      features_[i] = at(batch.features[i], i, slice.first);
    }
    add_slice({features_, at(batch.labels, features_.size(), slice.first), slice.count});
  }
  return end_batch(learning_rate);
}

void TrainingSession::evaluate(const TrainingSamples& samples, StepResult& result) {
  BW_CHECK(options_.evaluates && !plan_only_ && samples.count <= micro_batch_);
  run_samples(evaluation_programs_, samples, {}, result);
  result.samples += samples.count;
}

void TrainingSession::run_samples(Programs& programs, const TrainingSamples& samples,
                                  const RunState& state, StepResult& result) {
  Workspace& run = workspace(programs, samples.count);
  const std::size_t num_inputs = run.program().graph().inputs.size();
  BW_CHECK(num_inputs > samples.features.size());
  inputs_.assign(samples.features.begin(), samples.features.end());
  inputs_.push_back(samples.labels);
  const float loss_scale = 1.0f / static_cast<float>(nominal_samples_);
  inputs_.push_back(&loss_scale);  // of training programs only
  const std::array<void*, 3> outputs{losses_.data(), predictions_.data(), metrics_.data()};
  run.run(std::span(inputs_.data(), num_inputs),
          std::span(outputs.data(), run.program().graph().outputs.size()), state);
  count_metrics(samples, result);
}

void TrainingSession::count_metrics(const TrainingSamples& samples, StepResult& result) const {
  const auto* losses = reinterpret_cast<const float*>(losses_.data());
  const auto* outputs = reinterpret_cast<const float*>(predictions_.data());
  const auto* metrics = reinterpret_cast<const float*>(metrics_.data());
  for (std::int64_t s = 0; s < samples.count; ++s) {
    result.loss_sum += static_cast<double>(losses[s]);
    const float* row = outputs + s * output_floats_;
    if (options_.custom_metric) result.metric_sum += static_cast<double>(metrics[s]);
    if (options_.custom_loss) continue;
    if (options_.loss == Loss::kCrossEntropy) {
      const std::int64_t label = static_cast<const std::int64_t*>(samples.labels)[s];
      result.correct += std::max_element(row, row + output_floats_) - row == label;
    } else {
      const float* target = static_cast<const float*>(samples.labels) + s * output_floats_;
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
void TrainingSession::finish_lane() {
  const std::int64_t lane = lane_++;
  const std::int64_t bytes = gradients_.total_bytes();
  if (options_.measure_gradients) {
    // As the mean over the lane's samples.
    const double scale = static_cast<double>(nominal_samples_) / static_cast<double>(lane_samples_);
    result_.lane_norms2.push_back(squared_norm(gradients_.begin(), bytes) * scale * scale);
    result_.lane_samples.push_back(lane_samples_);
  }
  lane_samples_ = 0;
  if (cut_.lanes == 1) return;
  std::size_t level = 0;
  for (std::int64_t rest = lane; (rest & 1) != 0; rest >>= 1, ++level) {
    add_lane(lane_sums_[level].data(), gradients_.begin(), bytes, *pool_);
  }
  if (lane + 1 < cut_.lanes) {
    std::memcpy(lane_sums_[level].data(), gradients_.begin(), static_cast<std::size_t>(bytes));
    return;
  }
  // Lanes that are no power of two leave sums on several levels.
  for (; (lane >> level) != 0; ++level) {
    if (((lane >> level) & 1) != 0) {
      add_lane(lane_sums_[level].data(), gradients_.begin(), bytes, *pool_);
    }
  }
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

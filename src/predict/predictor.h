// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "batching/cut_batch.h"
#include "engine/memory_parts.h"
#include "engine/model.h"

namespace batchwise {

// A model running over samples in memory, any number at a time, in slices of at most one
// micro-batch. A sample's outputs have the same bits whatever its slice. Not thread-safe; several
// predictors of one model share its weights and programs.
class Predictor {
 public:
  // Throws Error where the model mixes samples and `micro_batch` is above 1. Predictors that never
  // run at once may share a `pool` of so many threads; without one it makes its own.
  Predictor(std::shared_ptr<const EngineModel> model, std::int64_t micro_batch, int threads,
            std::shared_ptr<ThreadPool> pool = nullptr);

  // features[i]: the samples of model input i; outputs[o]: room for those of output o. Allocates
  // nothing once the sizes of its slices have been met.
  void run(std::span<const void* const> features, std::int64_t count,
           std::span<void* const> outputs);

  std::int64_t micro_batch() const { return micro_batch_; }
  // Bytes of a sample of output o.
  std::int64_t output_bytes(std::size_t o) const { return output_bytes_[o]; }
  std::int64_t input_bytes(std::size_t i) const { return input_bytes_[i]; }
  const EngineModel& model() const { return *model_; }

 private:
  Workspace& workspace(std::int64_t samples);

  std::shared_ptr<const EngineModel> model_;
  std::int64_t micro_batch_;
  int threads_;
  std::shared_ptr<MappedBuffer> arena_;
  std::shared_ptr<ThreadPool> pool_;
  std::map<std::int64_t, std::unique_ptr<Workspace>> workspaces_;  // by samples
  std::vector<std::int64_t> input_bytes_, output_bytes_;
  std::vector<const void*> inputs_;
  std::vector<void*> outputs_;
};

// Throws Error (kInvalidInput) naming the node where the model mixes samples and the batch is above
// one.
void require_independent_samples(const EngineModel& model, std::int64_t batch);

// Bytes that all outputs of one micro-batch take.
std::int64_t output_bytes(const Graph& graph);

}  // namespace batchwise

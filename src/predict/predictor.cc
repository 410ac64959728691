// SPDX-License-Identifier: Apache-2.0
#include "predict/predictor.h"

#include <algorithm>

#include "base/check.h"

namespace batchwise {
namespace {

std::int64_t value_bytes(const Graph& graph, ValueId id) {
  const TensorType& type = graph.type(id);
  return type.shape.elements() * static_cast<std::int64_t>(dtype_bytes(type.dtype));
}

// Distinct sizes of slices are few: full ones and the two sizes of an even cut of a rest.
constexpr std::size_t kKeptWorkspaces = 8;

}  // namespace

void require_independent_samples(const EngineModel& model, std::int64_t batch) {
  if (batch > 1 && !model.mixes_samples().empty()) {
    throw Error(ErrorCode::kInvalidInput,
                fmt::format("[predict] batch {}: {}", batch, model.mixes_samples()),
                "run it with --batch-size 1");
  }
}

std::int64_t output_bytes(const Graph& graph) {
  std::int64_t total = 0;
  for (ValueId id : graph.outputs) total += value_bytes(graph, id);
  return total;
}

Predictor::Predictor(std::shared_ptr<const EngineModel> model, std::int64_t micro_batch,
                     int threads, std::shared_ptr<ThreadPool> pool)
    : model_(std::move(model)),
      micro_batch_(micro_batch),
      threads_(threads),
      pool_(pool ? std::move(pool) : std::make_shared<ThreadPool>(threads)) {
  require_independent_samples(*model_, micro_batch_);
  const auto program = model_->program(micro_batch_, threads_);
  const Graph& graph = program->graph();
  for (ValueId id : graph.inputs) input_bytes_.push_back(value_bytes(graph, id) / micro_batch_);
  for (ValueId id : graph.outputs) output_bytes_.push_back(value_bytes(graph, id) / micro_batch_);
  inputs_.resize(input_bytes_.size());
  outputs_.resize(output_bytes_.size());
  arena_ = std::make_shared<MappedBuffer>(program->memory().arena_bytes);
  BW_CHECK(pool_->threads() == threads_);
  workspace(micro_batch_);
}

Workspace& Predictor::workspace(std::int64_t samples) {
  auto& entry = workspaces_[samples];
  if (!entry) {
    const auto program = model_->program(samples, threads_);
    // A smaller batch may be laid out in a little more than a larger one: gaps differ.
    if (program->memory().arena_bytes > arena_->bytes()) {
      arena_ = std::make_shared<MappedBuffer>(program->memory().arena_bytes);
      workspaces_.clear();
    }
    if (workspaces_.size() > kKeptWorkspaces) workspaces_.clear();
    auto& fresh = workspaces_[samples];
    fresh = std::make_unique<Workspace>(program, arena_, pool_);
    return *fresh;
  }
  return *entry;
}

void Predictor::run(std::span<const void* const> features, std::int64_t count,
                    std::span<void* const> outputs) {
  BW_CHECK(features.size() == inputs_.size() && outputs.size() == outputs_.size());
  const std::int64_t num_slices = count_even_slices(count, micro_batch_);
  for (std::int64_t s = 0; s < num_slices; ++s) {
    const BatchSlice slice = even_slice(count, num_slices, s);
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      inputs_[i] = static_cast<const std::byte*>(features[i]) + slice.first * input_bytes_[i];
    }
    for (std::size_t o = 0; o < outputs_.size(); ++o) {
      outputs_[o] = static_cast<std::byte*>(outputs[o]) + slice.first * output_bytes_[o];
    }
    workspace(slice.count).run(inputs_, outputs_);
  }
}

}  // namespace batchwise

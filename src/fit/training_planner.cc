// SPDX-License-Identifier: Apache-2.0
#include "fit/training_planner.h"

#include "binding/data_binding.h"
#include "data/batch_loader.h"
#include "fit/choose_micro_batch.h"
#include "measure/machine.h"

namespace batchwise {
namespace {

std::int64_t loader_bytes(const Graph& graph, const DataSource& data,
                          const TrainingOptions& options, std::int64_t batch_size, bool shuffle,
                          const TrainingSession& session) {
  LoaderOptions loader;
  loader.batch_size = batch_size;
  loader.shuffle = shuffle;
  loader.feature_dtypes = bind_data(graph, data).feature_dtypes;
  loader.label_dtype = options.loss == Loss::kCrossEntropy ? DType::kInt64 : DType::kFloat32;
  loader.cut = [&session](std::int64_t count) {
    std::vector<std::int64_t> counts;
    for (const BatchSlice& slice : session.cut_batch(count).slices) counts.push_back(slice.count);
    return counts;
  };
  return static_cast<std::int64_t>(BatchLoader::bytes(data, loader));
}

}  // namespace

TrainingSession TrainingPlanner::plan(std::int64_t micro_batch) const {
  TrainingOptions wanted = options;
  wanted.micro_batch = micro_batch;
  return TrainingSession(model, wanted, true);
}

MemoryParts TrainingPlanner::parts(const TrainingSession& session) const {
  const TrainingMemory& memory = session.memory();
  MemoryParts parts;
  parts.weights_bytes = memory.weights_bytes + memory.constant_bytes;
  parts.packed_weights_bytes = memory.packed_weights_bytes;
  parts.activation_bytes = memory.arena_bytes - memory.scratch_bytes;
  parts.scratch_bytes = memory.scratch_bytes;
  parts.gradient_bytes = memory.gradient_bytes;
  parts.optimizer_bytes = memory.optimizer_bytes;
  parts.io_bytes = memory.io_bytes;
  parts.code_bytes = memory.table_bytes + model->graph_bytes;
  parts.data_bytes = loader_bytes(model->graph, train, options, options.batch_size, true, session) +
                     static_cast<std::int64_t>(train.resident_bytes());
  if (validation != nullptr) {
    parts.data_bytes +=
        loader_bytes(model->graph, *validation, options, session.micro_batch(), false, session);
    if (validation != &train) {
      parts.data_bytes += static_cast<std::int64_t>(validation->resident_bytes());
    }
  }
  return parts;
}

std::int64_t TrainingPlanner::choose_micro_batch() const {
  if (one_piece()) return options.batch_size;
  return choose_training_micro_batch(
      model, options,
      estimate_machine(options.threads, instruction_set() == "avx512", describe_machine().l2_bytes),
      [this](const TrainingSession& session) { return fits(session); });
}

std::int64_t TrainingPlanner::largest_micro_batch(std::int64_t most) const {
  return largest_that_fits(most, [this](std::int64_t micro) { return fits(plan(micro)); });
}

std::int64_t TrainingPlanner::largest_batch(std::int64_t most) const {
  return largest_that_fits(most, [this](std::int64_t size) {
    TrainingPlanner smaller = *this;
    smaller.options.batch_size = size;
    smaller.options.last_batch_size = 0;
    return smaller.fits(smaller.plan(size));
  });
}

}  // namespace batchwise

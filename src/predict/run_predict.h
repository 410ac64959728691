// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "batching/memory_room.h"
#include "batchwise/predict.h"
#include "data/batch_loader.h"
#include "data/output_writer.h"
#include "predict/predictor.h"

namespace batchwise {

// How a data set goes through a model: sizes and memory, settled before anything runs.
struct PredictPlan {
  std::int64_t batch_size = 1, micro_batch = 1;
  int threads = 1;
  MemoryParts parts;
  std::int64_t lower_bound_bytes = 0;  // of the arena, in place of its bytes
  std::int64_t arena_bytes = 0;
};

// The bytes of running `micro_batch` with this data, all sizes of pieces included.
PredictPlan plan_micro_batch(const EngineModel& model, const DataSource& data,
                             std::int64_t batch_size, std::int64_t micro_batch, int threads,
                             bool labels);

// Chooses what is 0: a batch of the micro-batch, the micro-batch by static cost within the memory.
// Throws Error{kNo} where a given micro-batch does not fit, naming the largest that does.
struct PredictSizes {
  std::int64_t batch_size = 0, micro_batch = 0;
  bool labels = false;     // the model takes the labels as its last input (evaluate)
  bool control = false;    // a second predictor runs each sample alone
};
PredictPlan choose_predict_plan(const EngineModel& model, const DataSource& data,
                                const PredictSizes& sizes, const Resources& resources);

// The outputs of a model as they are written; `name` picks one, empty: all. Throws Error naming
// what there is.
std::vector<OutputInfo> output_infos(const EngineModel& model);
std::vector<std::size_t> pick_outputs(const EngineModel& model, const std::string& name);

// Streams the data through the model. `sink` gets the picked outputs of some samples, in order.
using RowSink = std::function<void(std::span<const std::byte* const> outputs, std::int64_t rows)>;
PredictReport run_predict(std::shared_ptr<const EngineModel> model, const DataSource& data,
                          const PredictOptions& options, std::span<const std::size_t> picked,
                          const RowSink& sink);

// Loss and metric of the whole data set.
EvaluateReport run_evaluate(const Graph& model, const DataSource& data,
                            const EvaluateOptions& options);

}  // namespace batchwise

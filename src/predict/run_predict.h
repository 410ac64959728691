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
  std::int64_t lower_bound_bytes = 0;  // the same, were there no gaps in the arena
};

struct PredictSizes {
  std::int64_t batch_size = 0, micro_batch = 0;  // 0: auto
  bool labels = false;   // the model takes the labels as its last input (evaluate)
  bool control = false;  // a second predictor runs each sample alone
};

// Plans of one model with one data set, nothing run. Borrows both.
class PredictPlanner {
 public:
  PredictPlanner(const EngineModel& model, const DataSource& data, const PredictSizes& sizes,
                 const Resources& resources);

  // The bytes of running with this micro-batch, all sizes of pieces included.
  PredictPlan plan(std::int64_t micro_batch) const;
  bool fits(std::int64_t micro_batch) const { return room_.fits(plan(micro_batch).parts.total()); }
  // By static cost, within the memory; 0 where not even 1 fits.
  std::int64_t choose_micro_batch() const;
  std::int64_t largest_micro_batch(std::int64_t most) const;
  const MemoryRoom& room() const { return room_; }
  // The batch size, where one is given: at most the samples there are.
  std::int64_t batch_size() const { return batch_; }

 private:
  const EngineModel& model_;
  const DataSource& data_;
  PredictSizes sizes_;
  int threads_;
  MemoryRoom room_;
  std::int64_t batch_, most_;
  MemoryParts control_;
};

// The plan of given sizes, whether it fits or not.
PredictPlan plan_micro_batch(const EngineModel& model, const DataSource& data,
                             std::int64_t batch_size, std::int64_t micro_batch, int threads,
                             bool labels);

// Settles what is 0. Throws Error{kNo} where a given micro-batch does not fit, naming the largest
// that does, and Error{kInvalidInput} where the model mixes samples.
PredictPlan choose_predict_plan(const EngineModel& model, const DataSource& data,
                                const PredictSizes& sizes, const Resources& resources);

// What would happen, without running the model. `data` is what it would run on.
Explanation explain_predict(const EngineModel& model, const DataSource& data,
                            const ExplainOptions& options);

// Runs the steps of `explanation` on zeros and adds each step's time (the median), its share of the
// whole and of the machine's peak.
void time_predict(const EngineModel& model, int threads, Explanation& explanation);

// The outputs of a model as they are written; `name` picks one, empty: all. Throws Error naming
// what there is.
std::vector<OutputInfo> output_infos(const EngineModel& model);
std::vector<std::size_t> pick_outputs(const EngineModel& model, const std::string& name);

// Streams the data through the model. `sink` gets the picked outputs of some samples, in order.
using RowSink = std::function<void(std::span<const std::byte* const> outputs, std::int64_t rows)>;
PredictReport run_predict(const std::shared_ptr<const EngineModel>& model, const DataSource& data,
                          const PredictOptions& options, std::span<const std::size_t> picked,
                          const RowSink& sink);

// Loss and metric of the whole data set.
EvaluateReport run_evaluate(const Graph& model, const DataSource& data,
                            const EvaluateOptions& options);

}  // namespace batchwise

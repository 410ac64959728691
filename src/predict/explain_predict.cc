// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "batching/explain_steps.h"
#include "batching/time_steps.h"
#include "binding/model_shaped_source.h"
#include "engine/backends.h"
#include "predict/run_predict.h"

namespace batchwise {
namespace {

// Above this nobody runs a micro-batch; a search for what fits stops here.
constexpr std::int64_t kLargestMicroBatch = 1 << 20;

}  // namespace

Explanation explain_predict(const EngineModel& model, const DataSource& data,
                            const ExplainOptions& options) {
  Explanation explanation;
  const int threads = thread_count(options.resources);
  for (std::int64_t batch : options.batch_sizes) {
    require_independent_samples(model, batch);
    const PredictPlanner planner(model, data, {batch, options.micro_batch, false, options.control},
                                 options.resources);
    std::int64_t micro =
        options.micro_batch > 0 ? options.micro_batch : planner.choose_micro_batch();
    if (batch > 0) micro = std::min(micro, batch);
    const PredictPlan plan = planner.plan(std::max<std::int64_t>(micro, 1));
    BatchSizePlan row;
    row.batch_size = plan.batch_size;
    row.micro_batch = plan.micro_batch;
    row.parts = plan.parts;
    row.peak_bytes = plan.parts.total();
    row.lower_bound_bytes = plan.lower_bound_bytes;
    row.flops =
        batch_flops(*model.plan(plan.micro_batch, threads), plan.micro_batch, plan.batch_size);
    row.fits = planner.room().fits(row.peak_bytes);
    explanation.batch_sizes.push_back(row);
    explanation.memory_limit_bytes = planner.room().limit_bytes;
    explanation.available_bytes = planner.room().for_plan();
  }
  const ModelShapedSource endless(model.source(), kLargestMicroBatch);
  const PredictPlanner planner(model, endless, {0, 0, false, options.control}, options.resources);
  explanation.largest_micro_batch = planner.largest_micro_batch(kLargestMicroBatch);
  const std::int64_t wanted = std::max<std::int64_t>(options.micro_batch, 1);
  if (!model.mixes_samples().empty()) {
    explanation.largest_batch_size = std::min<std::int64_t>(explanation.largest_micro_batch, 1);
  } else if (explanation.largest_micro_batch < wanted) {
    // A batch above the pinned micro-batch takes no less than that.
    explanation.largest_batch_size = explanation.largest_micro_batch;
  }
  explanation.steps_micro_batch = explanation.batch_sizes.back().micro_batch;
  explanation.steps = explain_steps(*model.plan(explanation.steps_micro_batch, threads));
  explanation.passes = explain_passes(model.passes());
  explanation.isa = instruction_set();
  explanation.bits_depend_on_isa = explanation.isa == "sse4";
  explanation.mixes_samples = model.mixes_samples();
  return explanation;
}

void time_predict(const EngineModel& model, int threads, Explanation& explanation) {
  time_steps(model.program(explanation.steps_micro_batch, threads),
             std::make_shared<ThreadPool>(threads), explanation.steps);
  double total = 0;
  for (const StepExplanation& step : explanation.steps) total += *step.us;
  for (StepExplanation& step : explanation.steps) step.share = *step.us / std::max(total, 1e-3);
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "batching/explain_steps.h"
#include "fit/fit_use.h"
#include "fit/training_planner.h"

namespace batchwise {
namespace {

// A search for what fits stops here.
constexpr std::int64_t kLargestBatch = 1 << 16;

TrainingOptions training_options(const ExplainOptions& options) {
  TrainingOptions training;
  training.loss = parse_loss(options.loss);
  training.optimizer = {.kind = parse_optimizer(options.optimizer),
                        .momentum = options.momentum,
                        .clip_norm = options.clip_norm};
  training.output_name = options.output_name;
  training.ghost_batch = options.ghost_batch;
  training.threads = thread_count(options.resources);
  training.measure_gradients = true;
  return training;
}

BatchSizePlan plan_row(const TrainingPlanner& planner, const TrainingSession& session) {
  BatchSizePlan row;
  row.batch_size = planner.options.batch_size;
  row.micro_batch = session.micro_batch();
  row.parts = planner.parts(session);
  row.peak_bytes = row.parts.total();
  row.lower_bound_bytes =
      row.peak_bytes - session.memory().arena_bytes + session.memory().lower_bound_bytes;
  row.flops = batch_flops(session.step_program(), session.micro_batch(), row.batch_size) +
              batch_flops(session.update_program(), 1, 1);
  row.fits = planner.room.fits(row.peak_bytes);
  return row;
}

}  // namespace

Explanation explain_fit(const Graph& source, const DataSource& data,
                        const ExplainOptions& options) {
  Explanation explanation;
  explanation.use = Use::kFit;
  const auto model = std::make_shared<const TrainableModel>(
      make_trainable(source, {options.train, options.freeze}, options.ghost_batch));
  TrainingPlanner planner{model, data, nullptr, training_options(options),
                          memory_room(options.resources)};
  explanation.memory_limit_bytes = planner.room.limit_bytes;
  explanation.available_bytes = planner.room.for_plan();
  for (std::int64_t batch : options.batch_sizes) {
    planner.options.batch_size = batch > 0 ? batch : 32;
    const std::int64_t micro = options.micro_batch > 0
                                   ? std::min(options.micro_batch, planner.options.batch_size)
                                   : std::max<std::int64_t>(planner.choose_micro_batch(), 1);
    const TrainingSession session = planner.plan(micro);
    explanation.batch_sizes.push_back(plan_row(planner, session));
    explanation.steps_micro_batch = session.micro_batch();
    explanation.steps = explain_steps(session.step_program());
    for (StepExplanation& step : explain_steps(session.update_program())) {
      explanation.steps.push_back(std::move(step));
    }
  }
  if (planner.one_piece()) {
    const std::int64_t largest = planner.largest_batch(kLargestBatch);
    if (largest < kLargestBatch) explanation.largest_batch_size = largest;
    explanation.largest_micro_batch = largest;
  } else {
    planner.options.batch_size = kLargestBatch;
    explanation.largest_micro_batch = planner.largest_micro_batch(kLargestBatch);
    if (explanation.largest_micro_batch < std::max<std::int64_t>(options.micro_batch, 1)) {
      explanation.largest_batch_size = explanation.largest_micro_batch;
    }
  }
  for (const Parameter& parameter : model->parameters) {
    explanation.parameters.push_back({parameter.name, parameter.shape.dims(), parameter.decays});
  }
  explanation.statistics = model->statistics;
  explanation.isa = instruction_set();
  explanation.bits_depend_on_isa = explanation.isa == "sse4";
  return explanation;
}

}  // namespace batchwise

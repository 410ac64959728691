// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <list>
#include <optional>

#include "batching/explain_steps.h"
#include "batching/time_steps.h"
#include "binding/model_shaped_source.h"
#include "fit/fit_use.h"
#include "fit/training_planner.h"

namespace batchwise {
namespace {

// A search for what fits stops here.
constexpr std::int64_t kLargestBatch = 1 << 16;

FitSettings fit_settings(const ExplainOptions& options, std::int64_t batch_size) {
  FitSettings settings;
  settings.batch_size = batch_size > 0 ? batch_size : settings.batch_size;
  settings.micro_batch = options.micro_batch;
  settings.loss = options.loss;
  settings.optimizer = options.optimizer;
  settings.momentum = options.momentum;
  settings.clip_norm = options.clip_norm;
  settings.ghost_batch = options.ghost_batch;
  settings.train = options.train;
  settings.freeze = options.freeze;
  settings.normalize = options.normalize;
  settings.validation_split = options.validation_split;
  settings.output_name = options.output_name;
  settings.resources = options.resources;
  return settings;
}

// As fit would have it; where the limit refuses that, the least that it could be.
FitUse prepare_within(const Graph& source, const DataSource& data, const DataSource* validation,
                      FitSettings settings) {
  const MemoryRoom room = memory_room(settings.resources);
  try {
    return prepare_fit(source, data, validation, settings, nullptr);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNo) throw;
  }
  settings.resources.memory_limit_bytes = std::int64_t{1} << 60;
  const bool whole = settings.micro_batch > 0;
  if (!whole) settings.micro_batch = 1;
  FitUse use;
  try {
    use = prepare_fit(source, data, validation, settings, nullptr);
  } catch (const Error&) {
    if (whole) throw;
    settings.micro_batch = 0;  // a batch in one piece
    use = prepare_fit(source, data, validation, settings, nullptr);
  }
  use.room = room;
  return use;
}

// Labels as the loss wants them, where no data says how they are.
LabelInfo label_of(const Graph& source, const ExplainOptions& options) {
  if (parse_loss(options.loss) == Loss::kCrossEntropy) return {};
  std::vector<std::int64_t> dims = source.shape(source.outputs.front()).dims();
  if (!dims.empty()) dims.erase(dims.begin());
  return {Shape(dims), DType::kFloat32};
}

// Of a batch that is cut unevenly the step program is that of a smaller slice.
std::int64_t samples_of(const CompiledProgram& program) {
  const Graph& graph = program.graph();
  for (ValueId id : graph.inputs) {
    const BatchAxis& batch = graph.value(id).batch;
    if (batch.axis >= 0) return graph.shape(id)[batch.axis] / batch.block;
  }
  return 1;
}

BatchSizePlan plan_row(const TrainingPlanner& planner, const TrainingSession& session) {
  BatchSizePlan row;
  row.batch_size = planner.options.batch_size;
  row.micro_batch = session.micro_batch();
  row.parts = planner.parts(session);
  row.peak_bytes = row.parts.total();
  row.lower_bound_bytes =
      row.peak_bytes - session.memory().arena_bytes + session.memory().lower_bound_bytes;
  row.flops =
      batch_flops(session.step_program(), samples_of(session.step_program()), row.batch_size) +
      batch_flops(session.update_program(), 1, 1);
  row.fits = planner.room.fits(row.peak_bytes);
  return row;
}

// Of the last batch size: each step's time, and its share of the time of a whole batch, whose
// passes are several and whose update is one.
void time_fit(const TrainingPlanner& planner, const TrainingSession& planned, Explanation& e) {
  TrainingOptions options = planner.options;
  options.micro_batch = planned.micro_batch();
  const TrainingSession session(planner.model, options);
  // The session owns its programs, and outlives these.
  const auto borrow = [](const CompiledProgram& program) {
    return std::shared_ptr<const CompiledProgram>(std::shared_ptr<void>(), &program);
  };
  const std::size_t passes = planned.step_program().steps().size();
  const std::span<StepExplanation> steps(e.steps);
  time_steps(borrow(session.step_program()), session.pool(), steps.first(passes));
  time_steps(borrow(session.update_program()), session.pool(), steps.subspan(passes));
  const double repeats =
      static_cast<double>(options.batch_size) / static_cast<double>(e.steps_micro_batch);
  double total = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[i].share = *steps[i].us * (i < passes ? repeats : 1);
    total += *steps[i].share;
  }
  for (StepExplanation& step : steps) *step.share /= std::max(total, 1e-3);
}

}  // namespace

Explanation explain_fit(const Graph& source, const DataSource* data, const DataSource* validation,
                        const ExplainOptions& options) {
  Explanation explanation;
  explanation.use = Use::kFit;
  std::list<ModelShapedSource> shaped;
  std::optional<TrainingPlanner> last;
  FitUse use;
  for (const std::int64_t& batch : options.batch_sizes) {
    const FitSettings settings = fit_settings(options, batch);
    if (data == nullptr) {
      shaped.emplace_back(source, settings.batch_size, label_of(source, options));
    }
    const DataSource& train = data != nullptr ? *data : shaped.back();
    use = prepare_within(source, train, validation, settings);
    last.emplace(
        TrainingPlanner{use.model, train, use.validation.source, use.options.training, use.room});
    const TrainingSession session = last->plan(use.options.training.micro_batch);
    explanation.batch_sizes.push_back(plan_row(*last, session));
    explanation.steps_micro_batch = samples_of(session.step_program());
    explanation.steps = explain_steps(session.step_program());
    for (StepExplanation& step : explain_steps(session.update_program())) {
      explanation.steps.push_back(std::move(step));
    }
    if (options.time && &batch == &options.batch_sizes.back()) {
      time_fit(*last, session, explanation);
    }
  }
  TrainingPlanner& planner = *last;
  const auto& model = use.model;
  explanation.memory_limit_bytes = planner.room.limit_bytes;
  explanation.available_bytes = planner.room.for_plan();
  if (planner.one_piece()) {
    const std::int64_t largest = planner.largest_batch(kLargestBatch);
    if (largest < kLargestBatch) explanation.largest_batch_size = largest;
    explanation.largest_micro_batch = largest;
  } else {
    planner.options.batch_size = kLargestBatch;
    planner.options.last_batch_size = 0;
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

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "study/chapters.h"
#include "study/report_text.h"
#include "study/serve_layouts.h"
#include "study/serve_runs.h"

namespace batchwise {
namespace {

// The parts of the chapter's time; the rest is for simulations and for starting servers.
constexpr double kLayoutShare = 0.3, kOverheadShare = 0.12, kLoadShare = 0.4;
// Simulated requests: as many as certify a 99th percentile well, fewer where the budget is short.
// They follow from the options alone, so that a resumed study comes to the same rates.
constexpr double kRequestsASecond = 500;
constexpr std::int64_t kLeastRequests = 4000, kMostRequests = 20'000;
// What the policy delay waits for company at most, of the p99 limit.
constexpr double kDelayShare = 0.1;

ServePoint point_of(const SimulationResult& result, double rate_per_s) {
  ServePoint point;
  point.rate_per_s = rate_per_s;
  point.goodput_per_s = result.goodput_per_s();
  point.p50_us = result.p50_us;
  point.p99_us = result.p99_us;
  point.mean_batch = result.mean_batch();
  return point;
}

ServeLimit limit_of(const ServingCandidate& candidate) {
  ServeLimit limit;
  limit.max_batch = candidate.max_batch;
  limit.capacity_per_s = candidate.capacity_per_s;
  limit.at = point_of(candidate.simulation, candidate.rate_per_s);
  limit.why_not = candidate.why_not;
  return limit;
}

std::int64_t simulated_requests(const StudyOptions& options) {
  if (options.budget_seconds <= 0) return kMostRequests;
  const double wanted =
      kRequestsASecond * options.budget_seconds / static_cast<double>(options.models.size());
  return std::clamp(static_cast<std::int64_t>(wanted), kLeastRequests, kMostRequests);
}

ServingQuestion question_of(const StudyContext& context, const StudiedModel& model) {
  ServingQuestion question;
  question.p99_us = context.options().p99_us;
  question.memory_bytes = memory_room(context.options().resources).for_plan();
  question.shared_bytes = shared_bytes(context, model);
  question.requests = simulated_requests(context.options());
  question.should_stop = context.options().should_stop;
  return question;
}

void choose(const StudyContext& context, const StudiedModel& model, const ServingQuestion& question,
            ServeChapter* chapter) {
  context.report(model, "Serve", "the largest rates, simulated");
  std::vector<ServingLayout> layouts;
  for (const ServeLayout& layout : chapter->layouts) layouts.push_back(serving_layout(layout));
  const ServingChoice choice = choose_serving(layouts, question);
  for (std::size_t i = 0; i < choice.layouts.size(); ++i) {
    chapter->layouts[i].answer = limit_of(choice.layouts[i]);
  }
  chapter->chosen = choice.best;
  for (const ServingCandidate& size : choice.sizes) chapter->sizes.push_back(limit_of(size));
}

SchedulerOptions scheduler_of(Policy policy, const ServeChapter& chapter) {
  SchedulerOptions scheduler;
  scheduler.policy = policy;
  scheduler.max_batch_rows = chapter.layout().answer.max_batch;
  if (policy == Policy::kDelay) scheduler.max_queue_delay_us = chapter.queue_delay_us;
  return scheduler;
}

// As long as a full batch takes: what waits less is better off with the next one.
double queue_delay(const ServeChapter& chapter) {
  const CostCurve curve = serving_layout(chapter.layout()).curve;
  return std::min(kDelayShare * chapter.p99_limit_us, curve.us(chapter.layout().answer.max_batch));
}

ServePoint simulate_point(const ServeChapter& chapter, const ServingQuestion& question,
                          Policy policy, double rate_per_s) {
  ServingQuestion asked = question;
  asked.scheduler = scheduler_of(policy, chapter);
  return point_of(simulate_serving_rate(serving_layout(chapter.layout()), asked,
                                        asked.scheduler.max_batch_rows, rate_per_s),
                  rate_per_s);
}

void simulate_policies(const StudyContext& context, const ServingQuestion& question,
                       ServeChapter* chapter) {
  const double most = chapter->layout().answer.at.rate_per_s;
  for (const Policy policy : served_policies()) {
    ServeCurve& curve = chapter->curves.emplace_back();
    curve.policy = policy_name(policy);
    for (const double share : {0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0}) {
      context.check_stop();
      curve.points.push_back(simulate_point(*chapter, question, policy, share * most));
    }
  }
}

void load_server(const StudyContext& context, const StudiedModel& model,
                 const LoadedSamples& samples, const ServingQuestion& question, double seconds,
                 ServeChapter* chapter) {
  std::vector<ServeLoad> loads;
  for (const Policy policy : served_policies()) {
    loads.push_back({policy, scheduler_of(policy, *chapter)});
  }
  chapter->runs = run_loads(context, model, samples, *chapter, loads, seconds);
  for (ServeRun& run : chapter->runs) {
    run.simulated = simulate_point(*chapter, question, parse_policy(run.policy, "study"),
                                   run.measured.rate_per_s);
  }
}

}  // namespace

std::optional<ServeChapter> serve_chapter(const StudyContext& context, const StudiedModel& model,
                                          double seconds, std::string* why_not) {
  if (const std::string mixes = model.engine->mixes_samples(); !mixes.empty()) {
    *why_not = "Requests cannot share a batch: " + mixes;
    return std::nullopt;
  }
  ServeChapter chapter;
  chapter.p99_limit_us = context.options().p99_us;
  chapter.layouts = measure_layouts(context, model, kLayoutShare * seconds);
  if (chapter.layouts.empty()) {
    *why_not = "Not even a batch of 1 fits into the memory";
    return std::nullopt;
  }
  const DataSource& data = context.data().validation();
  const LoadedSamples samples = load_samples(model.graph, data, {0, data.num_samples()},
                                             std::min<std::int64_t>(data.num_samples(), 512));
  try {
    measure_overhead(context, model, samples, kOverheadShare * seconds, &chapter.layouts);
    const ServingQuestion question = question_of(context, model);
    choose(context, model, question, &chapter);
    if (!chapter.has_answer()) return chapter;
    chapter.queue_delay_us = queue_delay(chapter);
    simulate_policies(context, question, &chapter);
    load_server(context, model, samples, question, kLoadShare * seconds, &chapter);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNo) throw;
    *why_not = error.what();
    return std::nullopt;
  }
  const std::int64_t largest = context.options().predict_batch_sizes.back();
  const std::int64_t measured = chapter.layout().rows.back().batch_size;
  if (measured < largest) {
    chapter.note = fmt::format(
        "Batches above {} were left out: too long for the limit of {}, "
        "the time of the study, or the memory",
        measured, format_us(chapter.p99_limit_us));
  }
  return chapter;
}

}  // namespace batchwise

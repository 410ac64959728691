// SPDX-License-Identifier: Apache-2.0
#include "batching/choose_serving.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "measure/statistics.h"

namespace batchwise {
namespace {

constexpr double kRateTolerance = 0.02;
constexpr double kNearBest = 0.95;
// A layout of more instances must be better than this share.
constexpr double kClearlyBetter = 1.02;

void check(const std::vector<ServingLayout>& layouts, const ServingQuestion& question) {
  if (layouts.empty()) fail_input("serve", "no layout was measured");
  if (!(question.p99_us > 0)) fail_input("--p99", "{} us is not above 0", question.p99_us);
  if (question.rows < 1) fail_input("rows", "{} is below 1", question.rows);
  if (question.requests < 1) fail_input("requests", "{} is below 1", question.requests);
}

// The rows that a batch may have while all instances run one.
std::int64_t most_rows_in_memory(const ServingLayout& layout, const ServingQuestion& question) {
  const std::int64_t most = std::min(layout.curve.max_rows(), question.most_rows);
  if (question.memory_bytes == kNoLimit) return most;
  const std::int64_t room = (question.memory_bytes - question.shared_bytes) / layout.instances;
  return room < 0 ? 0 : std::min(most, layout.curve.rows_within_bytes(room));
}

// 1, 2, 4, ... and `most` itself.
std::vector<std::int64_t> batch_limits(std::int64_t most) {
  std::vector<std::int64_t> limits;
  for (std::int64_t limit = 1; limit < most; limit *= 2) limits.push_back(limit);
  limits.push_back(most);
  return limits;
}

ServingCandidate without_rate(const ServingLayout& layout, std::int64_t max_batch,
                              std::string why_not) {
  ServingCandidate candidate;
  candidate.instances = layout.instances;
  candidate.threads = layout.threads;
  candidate.max_batch = max_batch;
  candidate.why_not = std::move(why_not);
  return candidate;
}

// The smallest limit that serves nearly what the largest does.
ServingCandidate best_limit(const ServingLayout& layout, const ServingQuestion& question) {
  const std::int64_t most = most_rows_in_memory(layout, question);
  if (most < 1) {
    return without_rate(
        layout, 0,
        fmt::format("{} instances with a row each need {} bytes, {} are there", layout.instances,
                    question.shared_bytes + layout.instances * layout.curve.bytes(1),
                    question.memory_bytes));
  }
  ServingCandidate best = find_largest_rate(layout, question, most);
  if (best.rate_per_s == 0) return best;
  for (const std::int64_t limit : batch_limits(most)) {
    // What it can do at most need not be simulated to be too little.
    const double at_most = kMostLoad * serving_capacity(layout, question, limit);
    if (limit == most || at_most < kNearBest * best.rate_per_s) continue;
    const ServingCandidate candidate = find_largest_rate(layout, question, limit);
    if (candidate.rate_per_s >= kNearBest * best.rate_per_s) return candidate;
  }
  return best;
}

// The largest batch that a batch limit lets this layout use, whatever the requests' rows.
std::int64_t usable_limit(const ServingLayout& layout, std::int64_t max_batch) {
  return std::clamp<std::int64_t>(max_batch, 1, layout.curve.max_rows());
}

}  // namespace

CostCurve ServingLayout::curve_in_service(std::int64_t rows_a_request) const {
  std::vector<CostPoint> points = curve.points();
  for (CostPoint& point : points) {
    const double requests =
        std::ceil(static_cast<double>(point.rows) / static_cast<double>(rows_a_request));
    const double more = batch_us + request_us * requests;
    point.us.low += more;
    point.us.median += more;
    point.us.high += more;
  }
  return CostCurve(std::move(points));
}

double serving_capacity(const ServingLayout& layout, const ServingQuestion& question,
                        std::int64_t max_batch) {
  const CostCurve curve = layout.curve_in_service(question.rows);
  return layout.instances * 1e6 / curve.best_us_per_row(usable_limit(layout, max_batch)) /
         static_cast<double>(question.rows);
}

SimulationResult simulate_serving_rate(const ServingLayout& layout, const ServingQuestion& question,
                                       std::int64_t max_batch, double rate_per_s) {
  SimulationOptions options;
  options.models = {layout.curve_in_service(question.rows)};
  options.scheduler = question.scheduler;
  options.scheduler.max_batch_rows = max_batch;
  options.instances = layout.instances;
  options.vary_times = true;
  options.seed = question.seed;
  options.should_stop = question.should_stop;
  ArrivalOptions arrivals;
  arrivals.rate_per_s = rate_per_s;
  arrivals.requests = question.requests;
  arrivals.seed = question.seed;
  arrivals.kinds[0].rows_low = arrivals.kinds[0].rows_high = question.rows;
  arrivals.kinds[0].timeout_us = question.p99_us;
  return simulate(options, ArrivalSource(arrivals));
}

bool is_certified(std::int64_t failed, std::int64_t requests) {
  constexpr double kAllowed = 0.01, kDoubt = 0.05;
  return binomial_cdf(failed, requests, kAllowed) <= kDoubt;
}

ServingCandidate find_largest_rate(const ServingLayout& layout, const ServingQuestion& question,
                                   std::int64_t max_batch) {
  ServingCandidate candidate = without_rate(layout, max_batch, "");
  const CostCurve curve = layout.curve_in_service(question.rows);
  const double alone_us = curve.safe_us_alone(question.rows, usable_limit(layout, max_batch));
  candidate.capacity_per_s = serving_capacity(layout, question, max_batch);
  if (alone_us > question.p99_us) {
    candidate.why_not = fmt::format("a request alone takes up to {:.3g} us, the limit is {:.3g} us",
                                    alone_us, question.p99_us);
    return candidate;
  }
  const auto holds = [&](double rate) {
    const SimulationResult result = simulate_serving_rate(layout, question, max_batch, rate);
    if (!is_certified(result.late + result.refused, result.requests)) return false;
    candidate.rate_per_s = rate;
    candidate.simulation = result;
    return true;
  };
  double high = kMostLoad * candidate.capacity_per_s, low = 0;
  if (holds(high)) return candidate;
  while (high - low > kRateTolerance * high && high > 1e-3 * candidate.capacity_per_s) {
    const double middle = (low + high) / 2;
    (holds(middle) ? low : high) = middle;
  }
  if (candidate.rate_per_s == 0) {
    candidate.why_not =
        fmt::format("fewer than 99 of 100 requests are answered within {:.3g} us, at any rate",
                    question.p99_us);
  }
  return candidate;
}

ServingChoice choose_serving(const std::vector<ServingLayout>& layouts,
                             const ServingQuestion& question) {
  check(layouts, question);
  ServingChoice choice;
  for (const ServingLayout& layout : layouts) {
    choice.layouts.push_back(best_limit(layout, question));
    const ServingCandidate& best = choice.layouts[choice.best];
    const ServingCandidate& last = choice.layouts.back();
    const double needed = last.instances > best.instances ? kClearlyBetter : 1 / kClearlyBetter;
    if (last.rate_per_s > needed * best.rate_per_s) choice.best = choice.layouts.size() - 1;
  }
  const ServingCandidate& best = choice.layouts[choice.best];
  if (best.rate_per_s == 0) return choice;
  const ServingLayout& layout = layouts[choice.best];
  const std::int64_t most = most_rows_in_memory(layout, question);
  for (const std::int64_t limit : batch_limits(most)) {
    if (limit == best.max_batch) {
      choice.sizes.push_back(best);
    } else if (2 * limit >= best.max_batch && limit <= 2 * best.max_batch) {
      choice.sizes.push_back(find_largest_rate(layout, question, limit));
    }
  }
  return choice;
}

std::vector<InstanceThreads> thread_layouts(int threads) {
  std::vector<InstanceThreads> layouts;
  for (int instances = 1; instances <= threads; ++instances) {
    if (threads % instances == 0) layouts.push_back({instances, threads / instances});
  }
  return layouts;
}

}  // namespace batchwise

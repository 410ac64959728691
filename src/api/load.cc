// SPDX-License-Identifier: Apache-2.0
#include "batchwise/load.h"

#include <algorithm>
#include <array>

#include "api/load_session.h"
#include "base/check.h"
#include "client/find_rate.h"
#include "measure/sampling.h"

namespace batchwise {
namespace {

using OnStatus = std::function<bool(const LoadStatus&)>;

constexpr double kMostTrialSeconds = 60;
// MLPerf's numbers.
constexpr std::int64_t kOfflineSamples = 24'576, kMultiStreamRows = 8;

struct Scenario {
  std::string_view name, metric;
  double quantile;  // 0: none
};
constexpr std::array kScenarios{
    Scenario{"single-stream", "p90_us", 0.90}, Scenario{"multi-stream", "p99_us", 0.99},
    Scenario{"server", "requests_per_s", 0}, Scenario{"offline", "samples_per_s", 0}};

const Scenario* find_scenario(const std::string& name) {
  if (name.empty()) return nullptr;
  for (const Scenario& scenario : kScenarios) {
    if (scenario.name == name) return &scenario;
  }
  fail_input("--scenario", "{} is unknown; there are single-stream, multi-stream, server, offline",
             name);
}

void check_shape(const LoadSettings& s) {
  const auto need = [](bool is_good, const char* where, auto value) {
    if (!is_good) fail_input(where, "{} is not in its range", value);
  };
  need(s.concurrency >= 0 && s.concurrency <= 100'000, "--concurrency", s.concurrency);
  need(s.rate_per_s >= 0 && s.rate_per_s <= 1e9, "--rate", s.rate_per_s);
  need(s.duration_s > 0 && s.duration_s <= 1e6, "--duration", s.duration_s);
  need(s.warmup_s >= 0 && s.warmup_s <= 1e6, "--warmup", s.warmup_s);
  need(s.requests >= 0, "--requests", s.requests);
  need(s.timeout_us >= 0, "--timeout", s.timeout_us);
  need(s.limit_us >= 0, "--p99", s.limit_us);
  if (s.rows_low < 1 || s.rows_high < s.rows_low || s.rows_high > (1 << 20)) {
    fail_input("--rows", "from {} to {} is no range", s.rows_low, s.rows_high);
  }
  if (s.concurrency > 0 && (s.rate_per_s > 0 || s.find_rate || s.arrivals.ends_with(".csv"))) {
    fail_input("--concurrency", "{} is of a closed loop, and a rate or arrivals of an open one",
               s.concurrency);
  }
}

// What a scenario stands for.
LoadSettings with_scenario(LoadSettings s) {
  if (find_scenario(s.scenario) == nullptr) return s;
  const bool says_shape = s.concurrency > 0 || s.rate_per_s > 0 || s.find_rate;
  if (says_shape) fail_input("--scenario", "{} says how requests come", s.scenario);
  if (s.scenario == "server") s.find_rate = true;
  if (s.scenario == "multi-stream" && s.rows_high == 1) s.rows_low = s.rows_high = kMultiStreamRows;
  if (s.scenario == "offline" && s.requests == 0) {
    s.requests = (kOfflineSamples + s.rows_high - 1) / s.rows_high;
  }
  return s;
}

double limit_of(const LoadSettings& s) {
  if (s.limit_us > 0) return s.limit_us;
  return s.timeout_us > 0 ? s.timeout_us : kNever;
}

LoadShape base_shape(const LoadSettings& s, const OnStatus& on_status, const std::string& phase) {
  LoadShape shape;
  shape.rows_low = s.rows_low;
  shape.rows_high = s.rows_high;
  shape.warmup_us = s.warmup_s * 1e6;
  shape.duration_us = s.requests > 0 ? kNever : s.duration_s * 1e6;
  shape.requests = s.requests;
  shape.limit_us = limit_of(s);
  shape.seed = s.seed;
  if (on_status) {
    shape.on_progress = [on_status, phase](const LoadProgress& progress) {
      LoadStatus status;
      status.seconds = progress.seconds;
      status.of_seconds = progress.of_seconds;
      status.requests = progress.sent;
      status.of_requests = progress.of_requests;
      status.requests_per_s = progress.answers_per_s;
      status.phase = phase;
      return on_status(status);
    };
  }
  return shape;
}

ArrivalSource arrivals_of(const LoadSettings& s, double rate_per_s) {
  ArrivalOptions options;
  options.pattern = parse_arrival_pattern(s.arrivals, "--arrivals");
  options.rate_per_s = rate_per_s;
  // As many as there is time for: the run ends by the clock, or by the number it was given.
  options.requests = std::int64_t{1} << 62;
  options.day_us = (s.warmup_s + s.duration_s) * 1e6;
  options.kinds.front().rows_low = s.rows_low;
  options.kinds.front().rows_high = s.rows_high;
  options.seed = s.seed;
  return ArrivalSource(options);
}

// Those of a file; where all have one timeout, and none was given, it is sent.
std::vector<Arrival> read_trace(LoadSettings& s) {
  Arrival defaults;
  defaults.rows = static_cast<std::int32_t>(s.rows_low);
  constexpr std::int32_t kAnyModel = 1 << 16;
  std::vector<Arrival> list = read_arrivals(s.arrivals, defaults, kAnyModel);
  s.rows_low = s.rows_high = list.front().rows;
  bool one_timeout = true;
  for (const Arrival& arrival : list) {
    s.rows_low = std::min<std::int64_t>(s.rows_low, arrival.rows);
    s.rows_high = std::max<std::int64_t>(s.rows_high, arrival.rows);
    one_timeout = one_timeout && arrival.timeout_us == list.front().timeout_us;
  }
  if (s.timeout_us == 0 && one_timeout && list.front().timeout_us < kNever) {
    s.timeout_us = list.front().timeout_us;
  }
  return list;
}

LoadReport report_of(const LoadCounts& counts) {
  LoadReport report;
  report.requests = counts.requests;
  report.answered = counts.answered;
  report.refused = counts.refused + counts.expired;
  report.expired = counts.expired;
  report.failed = counts.failed;
  report.lost = counts.lost;
  report.late = counts.late;
  report.requests_per_s = counts.answers_per_s;
  report.goodput_per_s = counts.in_time_per_s;
  report.rows_per_s = counts.rows_per_s;
  const LatencyHistogram& latency = counts.latency;
  report.p50_us = latency.quantile_us(0.5);
  report.p90_us = latency.quantile_us(0.9);
  report.p99_us = latency.quantile_us(0.99);
  report.p999_us = latency.quantile_us(0.999);
  report.max_us = latency.max_us();
  report.mean_us = latency.mean_us();
  report.send_lag_p99_us = counts.send_lag.quantile_us(0.99);
  report.checked = counts.checked;
  report.differing = counts.differing;
  report.client_cpu_us = counts.client_cpu_us;
  report.seconds = counts.seconds;
  report.first_fault = counts.first_fault;
  report.interrupted = counts.was_stopped;
  report.server_is_gone = counts.server_is_gone;
  return report;
}

// One run at a time at rates that come nearer and nearer to the highest that holds.
class RateSearch {
 public:
  RateSearch(LoadSession& session, const LoadSettings& settings, const OnStatus& on_status)
      : session_(session), settings_(settings), on_status_(on_status) {
    if (limit_of(settings) == kNever) {
      fail_input("--find-rate", "needs the latency to hold: --p99 10ms");
    }
  }

  LoadReport run() {
    const LoadCounts alone = probe(1);
    if (has_ended(alone)) return best_;
    // Company makes no request faster.
    if (alone.latency.quantile_us(0.5) > limit_of(settings_)) {
      fail_to_find(alone.latency.quantile_us(0.5), "one request at a time, the median");
    }
    FindRateOptions options;
    options.first_per_s = settings_.rate_per_s;
    if (options.first_per_s == 0) {
      constexpr std::int64_t kConcurrency = 32;
      const LoadCounts crowd = probe(kConcurrency);
      if (has_ended(crowd)) return best_;
      options.first_per_s = 0.7 * std::max(crowd.answers_per_s, 1.0);
    }
    const double found = find_rate(
        [&](double rate, RateVerdict& verdict) { return try_rate(rate, verdict); }, options);
    if (found == 0 && !best_.interrupted && !best_.server_is_gone) {
      fail_to_find(trials_.back().p99_us, fmt::format("at {:.4g} a second the 99th percentile",
                                                      trials_.back().rate_per_s));
    }
    best_.found_rate_per_s = found;
    best_.trials = trials_;
    return best_;
  }

 private:
  [[noreturn]] void fail_to_find(double us, const std::string& what) const {
    throw Error(ErrorCode::kNo,
                fmt::format("[--find-rate] at no rate are 99 % answered within {:.0f} us",
                            limit_of(settings_)),
                fmt::format("{} is {:.0f} us", what, us));
  }

  // A short closed loop.
  LoadCounts probe(std::int64_t concurrency) {
    LoadSettings closed = settings_;
    constexpr double kSeconds = 1;
    closed.warmup_s = kSeconds / 4;
    closed.duration_s = kSeconds;
    closed.requests = 0;
    LoadShape shape = base_shape(closed, on_status_, "probing");
    shape.concurrency = concurrency;
    LoadCounts counts = session_.run(shape);
    session_.mean_batch();
    return counts;
  }

  bool has_ended(const LoadCounts& counts) {
    if (!counts.was_stopped && !counts.server_is_gone) return false;
    if (trials_.empty()) best_ = report_of(counts);
    best_.interrupted = counts.was_stopped;
    best_.server_is_gone = counts.server_is_gone;
    best_.first_fault = counts.first_fault;
    return true;
  }

  // Long enough to judge, and for a queue that grows to be seen to grow.
  double trial_seconds(double rate) const {
    const double enough = 1.5 * static_cast<double>(requests_to_judge()) / rate;
    constexpr double kLimits = 5;
    const double wanted =
        std::max({settings_.duration_s, enough, kLimits * limit_of(settings_) / 1e6});
    return std::min(wanted, std::max(kMostTrialSeconds, settings_.duration_s));
  }

  bool try_rate(double rate, RateVerdict& verdict) {
    LoadSettings trial = settings_;
    trial.duration_s = trial_seconds(rate);
    trial.requests = 0;
    trial.seed = settings_.seed + trials_.size();
    ArrivalSource arrivals = arrivals_of(trial, rate);
    LoadShape shape = base_shape(trial, on_status_, fmt::format("{:.4g}/s", rate));
    shape.arrivals = &arrivals;
    // What comes later than this is too late in any case.
    shape.grace_us = shape.limit_us + 1e6;
    const LoadCounts counts = session_.run(shape);
    if (has_ended(counts)) return false;
    const double mean_batch = session_.mean_batch();
    const std::int64_t late = counts.requests - counts.answered + counts.late;
    verdict = judge_rate(counts.requests, late);
    // A queue that grows fails, though the trial was too short for it to grow too long.
    constexpr double kKeepsUp = 0.95;
    if (counts.answers_per_s * counts.seconds < kKeepsUp * static_cast<double>(counts.requests)) {
      verdict = RateVerdict::kFails;
    }
    trials_.push_back({rate, counts.requests, late, counts.latency.quantile_us(0.99),
                       std::string(rate_verdict_name(verdict))});
    if (verdict == RateVerdict::kHolds && rate > best_rate_) {
      best_rate_ = rate;
      best_ = report_of(counts);
      best_.mean_batch = mean_batch;
    } else {
      session_.settle();
    }
    return true;
  }

  LoadSession& session_;
  const LoadSettings& settings_;
  const OnStatus& on_status_;
  std::vector<RateTrial> trials_;
  LoadReport best_;
  double best_rate_ = 0;
};

LoadReport run_once(LoadSession& session, const LoadSettings& s, const OnStatus& on_status,
                    std::vector<Arrival> trace) {
  LoadShape shape = base_shape(s, on_status, {});
  std::optional<ArrivalSource> arrivals;
  if (s.scenario == "offline") {
    std::vector<Arrival> all(static_cast<std::size_t>(s.requests));
    for (Arrival& arrival : all) arrival.rows = static_cast<std::int32_t>(s.rows_high);
    arrivals.emplace(std::move(all));
    shape.warmup_us = 0;
    constexpr double kHourUs = 3600e6;
    shape.grace_us = kHourUs;
  } else if (!trace.empty()) {
    arrivals.emplace(std::move(trace));
    shape.warmup_us = 0;
    shape.duration_us = kNever;
  } else if (s.rate_per_s > 0) {
    arrivals.emplace(arrivals_of(s, s.rate_per_s));
  } else {
    shape.concurrency = std::max<std::int64_t>(s.concurrency, 1);
  }
  if (arrivals) shape.arrivals = &*arrivals;
  const LoadCounts counts = session.run(shape);
  LoadReport report = report_of(counts);
  if (!counts.server_is_gone) report.mean_batch = session.mean_batch();
  const Scenario* const scenario = find_scenario(s.scenario);
  if (scenario == nullptr) return report;
  report.metric_value = scenario->quantile > 0
                            ? confident_quantile_us(counts.latency, scenario->quantile)
                            : report.rows_per_s;
  return report;
}

}  // namespace

LoadReport send_load(const LoadSettings& given, const OnStatus& on_status) {
  LoadSettings settings = with_scenario(given);
  check_shape(settings);
  std::vector<Arrival> trace;
  if (settings.arrivals.ends_with(".csv")) {
    if (settings.rate_per_s > 0 || settings.find_rate || !settings.scenario.empty()) {
      fail_input("--arrivals", "those of {} have their own rate", settings.arrivals);
    }
    trace = read_trace(settings);
  } else {
    parse_arrival_pattern(settings.arrivals, "--arrivals");
  }
  LoadSession session(settings);
  LoadReport report = settings.find_rate ? RateSearch(session, settings, on_status).run()
                                         : run_once(session, settings, on_status, std::move(trace));
  if (const Scenario* const scenario = find_scenario(settings.scenario)) {
    report.scenario = scenario->name;
    report.metric = scenario->metric;
    if (settings.find_rate) report.metric_value = report.found_rate_per_s;
  }
  return report;
}

}  // namespace batchwise

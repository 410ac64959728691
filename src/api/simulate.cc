// SPDX-License-Identifier: Apache-2.0
#include "batchwise/simulate.h"

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "batching/simulator.h"
#include "measure/sampling.h"
#include "profile/profile.h"

namespace batchwise {
namespace {

std::int64_t or_no_limit(std::int64_t value, const char* where) {
  if (value < 0) fail_input(where, "{} is below 0", value);
  return value == 0 ? kNoLimit : value;
}
double or_never(double us, const char* where) {
  if (!(us >= 0)) fail_input(where, "{} us is below 0", us);
  return us == 0 ? kNever : us;
}

SchedulerOptions scheduler_options(const SimulateSettings& s) {
  SchedulerOptions options;
  options.policy = parse_policy(s.policy, "--policy");
  options.max_batch_rows = or_no_limit(s.max_batch, "--max-batch");
  options.preferred_rows = s.preferred_sizes;
  options.max_queue_delay_us = s.queue_delay_us;
  options.queue_timeout_us = or_never(s.queue_timeout_us, "--queue-timeout");
  if (s.delay_at_timeout) options.on_timeout = SchedulerOptions::OnTimeout::kDelay;
  options.max_queue_requests = or_no_limit(s.max_queue, "--max-queue");
  options.latency_target_us =
      s.latency_target_us > 0 ? s.latency_target_us : s.deadlines_us.front();
  return options;
}

SimulationOptions simulation_options(const SimulateSettings& s) {
  if (s.profiles.empty()) fail_input("--profile", "there is none");
  if (s.deadlines_us.empty()) fail_input("--deadline", "there is none");
  SimulationOptions options;
  for (const std::string& path : s.profiles) options.models.push_back(read_profile(path));
  options.scheduler = scheduler_options(s);
  options.instances = s.instances;
  options.replicas = s.replicas;
  options.balancer = parse_balancer(s.balancer, "--balancer");
  options.memory_bytes = or_no_limit(s.memory_limit_bytes, "--memory-limit");
  options.vary_times = s.vary_times;
  options.seed = s.seed;
  return options;
}

// Every model and every deadline comes equally often.
std::vector<RequestKind> request_kinds(const SimulateSettings& s) {
  std::vector<RequestKind> kinds;
  for (std::size_t model = 0; model < s.profiles.size(); ++model) {
    for (const double deadline_us : s.deadlines_us) {
      RequestKind kind;
      kind.rows_low = s.rows_low;
      kind.rows_high = s.rows_high;
      kind.timeout_us = deadline_us;
      kind.model = static_cast<std::int32_t>(model);
      kinds.push_back(kind);
    }
  }
  return kinds;
}

ArrivalSource arrival_source(const SimulateSettings& s) {
  if (s.arrivals.ends_with(".csv")) {
    Arrival defaults;
    defaults.timeout_us = s.deadlines_us.front();
    defaults.rows = static_cast<std::int32_t>(s.rows_low);
    return ArrivalSource(
        read_arrivals(s.arrivals, defaults, static_cast<std::int32_t>(s.profiles.size())));
  }
  ArrivalOptions options;
  options.pattern = parse_arrival_pattern(s.arrivals, "--arrivals");
  options.rate_per_s = s.rate_per_s;
  options.requests = s.requests;
  options.kinds = request_kinds(s);
  options.seed = s.seed;
  return ArrivalSource(options);
}

}  // namespace

SimulateReport simulate_serving(const SimulateSettings& settings,
                                const std::function<bool()>& should_stop) {
  const Stopwatch watch;
  SimulationOptions options = simulation_options(settings);
  options.should_stop = should_stop;
  const SimulationResult result = simulate(options, arrival_source(settings));
  SimulateReport report;
  report.requests = result.requests;
  report.answered = result.answered;
  report.refused = result.refused;
  report.late = result.late;
  report.requests_per_s = result.requests_per_s();
  report.goodput_per_s = result.goodput_per_s();
  report.p50_us = result.p50_us;
  report.p90_us = result.p90_us;
  report.p99_us = result.p99_us;
  report.mean_us = result.mean_us;
  report.mean_batch = result.mean_batch();
  const auto run_rows = static_cast<double>(result.batch_rows + result.padded_rows);
  report.padded_share = run_rows > 0 ? static_cast<double>(result.padded_rows) / run_rows : 0;
  const double machine_us = result.seconds * 1e6 * settings.instances * settings.replicas;
  report.busy_share = machine_us > 0 ? result.busy_us / machine_us : 0;
  report.simulated_seconds = result.seconds;
  report.seconds = watch.seconds();
  return report;
}

std::string to_json(const SimulateReport& report) {
  return nlohmann::ordered_json{{"requests", report.requests},
                                {"answered", report.answered},
                                {"refused", report.refused},
                                {"late", report.late},
                                {"requests_per_s", report.requests_per_s},
                                {"goodput_per_s", report.goodput_per_s},
                                {"p50_us", report.p50_us},
                                {"p90_us", report.p90_us},
                                {"p99_us", report.p99_us},
                                {"mean_us", report.mean_us},
                                {"mean_batch", report.mean_batch},
                                {"padded_share", report.padded_share},
                                {"busy_share", report.busy_share},
                                {"simulated_seconds", report.simulated_seconds},
                                {"seconds", report.seconds}}
      .dump(2);
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "batchwise/export.h"

namespace batchwise {

// A server to simulate, and who comes to it. A plain value; the defaults are those of the command
// line.
struct SimulateSettings {
  // One file a model: `measurements` of batch sizes with their times, as study.json has them.
  std::vector<std::string> profiles;
  std::string arrivals = "poisson";           // or bursty, diurnal, or a .csv with times
  double rate_per_s = 0;                      // the mean, of all models together; not for a .csv
  std::int64_t requests = 100'000;            // not for a .csv
  std::int64_t rows_low = 1, rows_high = 1;   // of a request, evenly from here to there
  std::vector<double> deadlines_us{100'000};  // after the arrival; of several, each as often

  std::string policy = "deadline";  // or delay, greedy, aimd, adaptive
  std::int64_t max_batch = 0;       // rows; 0: the largest in the profile that fits
  // delay, as Triton's dynamic batcher.
  std::vector<std::int64_t> preferred_sizes;
  double queue_delay_us = 0;
  double queue_timeout_us = 0;    // 0: none
  bool delay_at_timeout = false;  // put behind all others; false: refuse
  std::int64_t max_queue = 0;     // requests, for every policy; 0: no limit
  double latency_target_us = 0;   // aimd: of a batch; adaptive: of a request; 0: the deadline

  int instances = 1;  // of a replica, each running one batch at a time
  int replicas = 1;
  std::string balancer = "least-outstanding";  // or round-robin, random, two-choices
  std::int64_t memory_limit_bytes = 0;         // for a replica's batches; 0: no limit
  bool vary_times = false;  // batches take any time of their interval; false: the median
  std::uint64_t seed = 0;
};

// What came of it; latencies in microseconds from the arrival to the answer.
struct SimulateReport {
  std::int64_t requests = 0, answered = 0, refused = 0;
  std::int64_t late = 0;  // answered after their deadline
  double requests_per_s = 0;
  double goodput_per_s = 0;  // answered in time
  double p50_us = 0, p90_us = 0, p99_us = 0, mean_us = 0;
  double mean_batch = 0;    // rows
  double padded_share = 0;  // of the rows that ran
  double busy_share = 0;    // of the instances' time
  double simulated_seconds = 0, seconds = 0;
};
BATCHWISE_API std::string to_json(const SimulateReport& report);

// Runs the scheduler of the server against simulated arrivals; the same for the same seed. Asks
// `should_stop` now and then: true is Error{kInterrupted}.
BATCHWISE_API SimulateReport simulate_serving(const SimulateSettings& settings,
                                              const std::function<bool()>& should_stop = {});

}  // namespace batchwise

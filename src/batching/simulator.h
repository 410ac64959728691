// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "batching/arrivals.h"
#include "batching/scheduler.h"

// A discrete-event simulation of servers that call decide(), as the real one does.
namespace batchwise {

enum class Balancer { kRoundRobin, kRandom, kTwoChoices, kLeastOutstanding };
// "round-robin", "random", "two-choices" or "least-outstanding"; throws Error naming `where`.
Balancer parse_balancer(const std::string& name, const std::string& where);

// A batch that starts, as an observer sees it.
struct StartedBatch {
  int replica = 0;
  double now_us = 0, us = 0;
  std::int64_t held_bytes = 0;  // by this replica's batches, this one included
  const QueueView* view = nullptr;
  const Decision* decision = nullptr;
};

struct SimulationOptions {
  std::vector<CostCurve> models;
  SchedulerOptions scheduler;
  int instances = 1;  // of a replica; each runs any model
  int replicas = 1;
  Balancer balancer = Balancer::kLeastOutstanding;
  std::int64_t memory_bytes = kNoLimit;  // for a replica's batches
  // Batches take the median of their size, or evenly any time of its interval.
  bool vary_times = false;
  std::uint64_t seed = 0;
  std::function<void(const StartedBatch&)> on_batch;      // may be empty
  std::function<void(const WaitingRequest&)> on_refusal;  // may be empty
  std::function<bool()> should_stop;                      // may be empty; asked now and then
};

// A plain value; times in microseconds from the arrival to the answer.
struct SimulationResult {
  std::int64_t requests = 0, answered = 0, refused = 0;
  std::int64_t late = 0;  // of those answered
  std::int64_t batches = 0, batch_rows = 0, padded_rows = 0;
  double seconds = 0;  // from the first arrival to the last answer or arrival
  double mean_us = 0, p50_us = 0, p90_us = 0, p99_us = 0, max_us = 0;
  double busy_us = 0;  // of all instances

  double requests_per_s() const { return rate(requests); }
  double goodput_per_s() const { return rate(answered - late); }
  double mean_batch() const {
    return batches > 0 ? static_cast<double>(batch_rows) / static_cast<double>(batches) : 0;
  }
  double rate(std::int64_t count) const {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0;
  }
};

// Runs until every arrival is answered or refused; deterministic for a seed. Throws
// Error{kInvalidInput} for options that make no sense, Error{kNo} where not even one row fits, and
// Error{kInterrupted}.
SimulationResult simulate(const SimulationOptions& options, ArrivalSource arrivals);

}  // namespace batchwise

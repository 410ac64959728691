// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "batching/simulator.h"

// How to lay a server out: instances, threads of each, and the largest batch are one choice, made
// from times that were measured and arrivals that are simulated. Times are microseconds.
namespace batchwise {

// A way to use the cores, and what a batch takes in it.
struct ServingLayout {
  int instances = 1, threads = 1;  // threads: of each instance
  CostCurve curve;                 // of a batch while all instances run; bytes: of one instance
  // What an instance spends beside the model: on a batch, and on each request of it.
  double batch_us = 0, request_us = 0;

  // The curve with what is spent beside the model, for requests of so many rows.
  CostCurve curve_in_service(std::int64_t rows_a_request) const;
};

struct ServingQuestion {
  double p99_us = 100e3;  // 99 of 100 requests are to be answered within
  std::int64_t rows = 1;  // of a request
  std::int64_t memory_bytes = kNoLimit;
  std::int64_t shared_bytes = 0;      // what is held once, whatever the number of instances
  std::int64_t requests = 20'000;     // of a simulation
  std::int64_t most_rows = kNoLimit;  // of a batch
  SchedulerOptions scheduler;         // max_batch_rows is set by the choice
  std::uint64_t seed = 0;
  std::function<bool()> should_stop;  // may be empty
};

// A layout with a largest batch, and the largest rate that it serves.
struct ServingCandidate {
  int instances = 1, threads = 1;
  std::int64_t max_batch = 0;   // rows; 0: not even one
  double capacity_per_s = 0;    // requests, with every batch at its best size
  double rate_per_s = 0;        // Poisson arrivals, at most kMostLoad of the capacity; 0: none
  SimulationResult simulation;  // at that rate
  std::string why_not;          // of rate 0: values
};

struct ServingChoice {
  std::vector<ServingCandidate> layouts;  // each with the batch that is best for it
  std::size_t best = 0;                   // in `layouts`; its rate is 0 where nothing serves
  std::vector<ServingCandidate> sizes;    // the best layout with other largest batches, rising
};

// No rate above this share of the capacity is offered: a queue's tail grows without bound there,
// and no simulation is long enough to see it.
inline constexpr double kMostLoad = 0.97;

// The requests a second that instances working without a pause answer.
double serving_capacity(const ServingLayout& layout, const ServingQuestion& question,
                        std::int64_t max_batch);
// True where this many of so many requests failed and, were 1 in 100 to fail, so few would have
// with a probability of at most 5 %: the certificate for the 99th percentile.
bool is_certified(std::int64_t failed, std::int64_t requests);
// The layout under Poisson arrivals at this rate: batches take any time of their intervals.
SimulationResult simulate_serving_rate(const ServingLayout& layout, const ServingQuestion& question,
                                       std::int64_t max_batch, double rate_per_s);
// The largest rate at which 99 of 100 requests are answered in time, certified, to within 2 %.
ServingCandidate find_largest_rate(const ServingLayout& layout, const ServingQuestion& question,
                                   std::int64_t max_batch);
// For each layout the smallest largest batch, a power of two or all that was measured, that serves
// within 5 % of the largest rate; of these the layout that serves most, the fewer instances where
// that is within 2 %. Throws Error{kInvalidInput} for questions that make no sense.
ServingChoice choose_serving(const std::vector<ServingLayout>& layouts,
                             const ServingQuestion& question);

// What may be made of so many threads: all with one instance first, then the divisors of their
// number.
struct InstanceThreads {
  int instances = 1, threads = 1;
};
std::vector<InstanceThreads> thread_layouts(int threads);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
// The simulator beside queues whose means are known in closed form.
#include <gtest/gtest.h>

#include <cmath>

#include "batching/simulator.h"

namespace batchwise {
namespace {

constexpr int kSeeds = 20;

CostCurve linear_curve(double us_a_row, double us_a_batch, std::int64_t most) {
  const auto at = [&](std::int64_t rows) {
    const double us = us_a_batch + us_a_row * static_cast<double>(rows);
    return CostPoint{rows, {us, us, us}, 0};
  };
  return CostCurve(most == 1 ? std::vector{at(1)} : std::vector{at(1), at(most)});
}

struct MeanAndBatch {
  Interval mean_us, batch;
};

MeanAndBatch over_seeds(const SimulationOptions& options, double rate_per_s,
                        std::int64_t requests) {
  std::vector<double> means, batches;
  for (int seed = 0; seed < kSeeds; ++seed) {
    ArrivalOptions arrivals;
    arrivals.rate_per_s = rate_per_s;
    arrivals.requests = requests;
    arrivals.seed = static_cast<std::uint64_t>(seed) * 7919 + 17;
    const SimulationResult result = simulate(options, ArrivalSource(arrivals));
    EXPECT_EQ(result.answered, requests);
    means.push_back(result.mean_us);
    batches.push_back(result.mean_batch());
  }
  return {mean_interval(means), mean_interval(batches)};
}

SimulationOptions greedy(CostCurve curve) {
  SimulationOptions options;
  options.models = {std::move(curve)};
  options.scheduler.policy = Policy::kGreedy;
  return options;
}

// Twice the half width of the 95 % interval over seeds is wide enough for all but 1 in 2,000 of
// right simulators with 20 seeds (Student's t), and the seeds are fixed.
double tolerance(const Interval& interval) { return interval.high - interval.low; }

// M/D/1 (Pollaczek and Khinchine): the mean wait is load * time / (2 (1 - load)).
TEST(SimulatorLaws, OneAtATimeIsMD1) {
  constexpr double kTimeUs = 100;
  for (const double load : {0.3, 0.6, 0.8, 0.9}) {
    const auto found =
        over_seeds(greedy(linear_curve(0, kTimeUs, 1)), load / kTimeUs * 1e6, 60'000);
    const double expected = kTimeUs + load * kTimeUs / (2 * (1 - load));
    EXPECT_NEAR(found.mean_us.median, expected, tolerance(found.mean_us)) << "load " << load;
    EXPECT_LT(tolerance(found.mean_us), 0.12 * expected);
  }
}

// The mean of batches under greedy service without a limit: the chain of batch sizes, in which the
// next batch is what arrives during this one, or 1 where nothing does, by repeated squaring's
// simple sister. Independent of the simulator.
double stationary_mean_batch(double rate, double us_a_row, double us_a_batch) {
  constexpr std::size_t kMost = 400;
  std::vector<double> now(kMost + 1, 0.0), next(kMost + 1);
  now[1] = 1;
  double mean = 1, before = 0;
  for (int step = 0; step < 10'000 && std::abs(mean - before) > 1e-12 * mean; ++step) {
    std::fill(next.begin(), next.end(), 0.0);
    for (std::size_t b = 1; b <= kMost; ++b) {
      if (now[b] < 1e-18) continue;
      const double expected = rate * (us_a_batch + us_a_row * static_cast<double>(b));
      double p = std::exp(-expected);
      next[1] += now[b] * p;
      for (std::size_t k = 1; k <= kMost; ++k) {
        p *= expected / static_cast<double>(k);
        next[k] += now[b] * p;
      }
    }
    now.swap(next);
    before = mean;
    mean = 0;
    for (std::size_t b = 1; b <= kMost; ++b) mean += static_cast<double>(b) * now[b];
  }
  return mean;
}

// For t(b) = us_a_row b + us_a_batch, Poisson arrivals and no limit of size the mean time in the
// system follows from the mean batch (by the first two moments of the chain of batches and Little's
// law; Inoue, Queueing analysis of GPU-based inference servers with dynamic batching, 2021), and
// falls with it.
double mean_time_us(double rate, double us_a_row, double us_a_batch, double mean_batch) {
  const double load = rate * us_a_row, start = rate * us_a_batch;
  const double second_over_first =
      (1 + 2 * load * start + start * start / mean_batch) / (1 - load * load);
  return us_a_row * (1 + load / 2) * second_over_first + us_a_batch * (1 + load) +
         start * us_a_batch / (2 * mean_batch);
}

TEST(SimulatorLaws, GreedyBatchesAreInouesQueue) {
  constexpr double kRowUs = 10, kBatchUs = 90;
  for (const double load : {0.1, 0.3, 0.6, 0.8}) {
    const double rate = load / kRowUs;
    const auto found = over_seeds(greedy(linear_curve(kRowUs, kBatchUs, 4096)), rate * 1e6, 60'000);
    const double batch = stationary_mean_batch(rate, kRowUs, kBatchUs);
    EXPECT_NEAR(found.batch.median, batch, tolerance(found.batch)) << "load " << load;
    EXPECT_NEAR(found.mean_us.median, mean_time_us(rate, kRowUs, kBatchUs, batch),
                tolerance(found.mean_us))
        << "load " << load;
    EXPECT_LT(tolerance(found.mean_us), 0.05 * found.mean_us.median);
  }
}

// Inoue's bound: the mean batch is at least 1 and at least what the load alone demands.
TEST(SimulatorLaws, GreedyBatchesKeepInouesBound) {
  constexpr double kRowUs = 10;
  for (const double batch_us : {5.0, 50.0, 500.0}) {
    for (const double load : {0.05, 0.2, 0.5, 0.8}) {
      const double rate = load / kRowUs;
      const double bound =
          std::min(mean_time_us(rate, kRowUs, batch_us, 1),
                   mean_time_us(rate, kRowUs, batch_us, rate * batch_us / (1 - load)));
      const auto found =
          over_seeds(greedy(linear_curve(kRowUs, batch_us, 4096)), rate * 1e6, 20'000);
      EXPECT_LE(found.mean_us.low, bound) << "load " << load << ", start " << batch_us;
      // The published form of the second, as a check of ours.
      const double published =
          1.5 * batch_us / (1 - load) + kRowUs / 2 * (load + 2) / (1 - load * load);
      EXPECT_NEAR(mean_time_us(rate, kRowUs, batch_us, rate * batch_us / (1 - load)), published,
                  1e-9 * published);
    }
  }
}

TEST(SimulatorLaws, ArrivalsHaveTheRateTheyPromise) {
  for (const auto pattern :
       {ArrivalPattern::kPoisson, ArrivalPattern::kBursty, ArrivalPattern::kDiurnal}) {
    std::vector<double> rates;
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      ArrivalOptions options;
      options.pattern = pattern;
      options.rate_per_s = 2000;
      options.requests = 200'000;
      options.day_us = 1e6;
      options.seed = seed;
      ArrivalSource source(options);
      Arrival arrival;
      double last_us = 0;
      while (source.next(arrival)) {
        ASSERT_GE(arrival.at_us, last_us);
        last_us = arrival.at_us;
      }
      rates.push_back(static_cast<double>(options.requests) / last_us * 1e6);
    }
    const Interval found = mean_interval(rates);
    EXPECT_NEAR(found.median, 2000, tolerance(found));
    EXPECT_LT(tolerance(found), 100);
  }
}

}  // namespace
}  // namespace batchwise

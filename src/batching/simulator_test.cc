// SPDX-License-Identifier: Apache-2.0
// Properties of every policy under random loads, seen from outside through the simulator.
#include "batching/simulator.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <set>

#include "batchwise/error.h"

namespace batchwise {
namespace {

constexpr Policy kAllPolicies[] = {Policy::kDeadline, Policy::kDelay, Policy::kGreedy,
                                   Policy::kAimd, Policy::kAdaptive};

CostPoint point(std::int64_t rows, double us) {
  return {rows, {us * 0.95, us, us * 1.05}, 1000 + rows * 100};
}
CostCurve fast_curve() {
  return CostCurve({point(1, 100), point(2, 105), point(8, 160), point(32, 380)});
}
// Dips at 8 rows, as tuned kernels do.
CostCurve uneven_curve() {
  return CostCurve({point(1, 200), point(7, 460), point(8, 400), point(16, 760)});
}

// A load with everything in it: models, shapes, clients, priorities, sizes, deadlines.
struct Case {
  SimulationOptions options;
  ArrivalOptions arrivals;
};
Case random_case(Policy policy, std::uint64_t seed) {
  SimulationRandom random(seed * 131 + 7);
  Case made;
  made.options.models = {fast_curve(), uneven_curve()};
  made.options.scheduler.policy = policy;
  made.options.scheduler.latency_target_us = 1500;
  made.options.scheduler.max_queue_delay_us = random.uniform() < 0.5 ? 0 : 300;
  if (random.uniform() < 0.5) made.options.scheduler.queue_timeout_us = 1000;
  if (random.uniform() < 0.3) made.options.scheduler.preferred_rows = {4, 8};
  if (random.uniform() < 0.3) {
    made.options.scheduler.on_timeout = SchedulerOptions::OnTimeout::kDelay;
  }
  made.options.instances = static_cast<int>(random.integer(1, 3));
  made.options.replicas = random.uniform() < 0.3 ? 3 : 1;
  if (random.uniform() < 0.5) made.options.memory_bytes = random.integer(1100, 6000);
  made.options.vary_times = true;
  made.options.seed = seed;
  made.arrivals.seed = seed;
  made.arrivals.requests = 4000;
  made.arrivals.rate_per_s = 500 * static_cast<double>(random.integer(1, 60));
  made.arrivals.pattern = static_cast<ArrivalPattern>(random.integer(0, 2));
  made.arrivals.kinds.clear();
  for (std::int64_t i = random.integer(1, 6); i > 0; --i) {
    RequestKind kind;
    kind.rows_high = random.integer(1, 40);
    kind.timeout_us = 250.0 * static_cast<double>(random.integer(1, 20));
    kind.model = static_cast<std::int32_t>(random.integer(0, 1));
    kind.shape = static_cast<std::int32_t>(random.integer(0, 2));
    kind.client = static_cast<std::int32_t>(random.integer(0, 3));
    kind.priority = static_cast<std::int32_t>(random.integer(0, 1));
    made.arrivals.kinds.push_back(kind);
  }
  return made;
}

// What a batch must keep, whatever the policy.
void expect_lawful(const StartedBatch& batch, const SimulationOptions& options) {
  const Decision& decision = *batch.decision;
  const auto waiting = batch.view->waiting;
  const WaitingRequest& first = waiting[decision.batch.front().index];
  const CostCurve& curve = options.models[static_cast<std::size_t>(decision.model)];
  std::set<std::size_t> indices(decision.refused.begin(), decision.refused.end());
  std::int64_t rows = 0;
  for (const BatchPiece& piece : decision.batch) {
    const WaitingRequest& request = waiting[piece.index];
    EXPECT_TRUE(indices.insert(piece.index).second) << "twice, or refused too";
    EXPECT_EQ(request.model, decision.model);
    EXPECT_EQ(request.shape, first.shape);
    EXPECT_GE(piece.rows, 1);
    EXPECT_LE(piece.rows, request.rows);
    rows += piece.rows;
  }
  EXPECT_EQ(rows, decision.rows);
  EXPECT_LE(rows, std::min(curve.max_rows(), options.scheduler.max_batch_rows));
  EXPECT_GE(decision.run_rows, rows);
  EXPECT_LE(batch.held_bytes, options.memory_bytes);
}

TEST(Simulator, NothingIsLostAndEveryBatchIsLawful) {
  for (const Policy policy : kAllPolicies) {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      Case made = random_case(policy, seed);
      std::map<std::int64_t, int> refusals;
      made.options.on_batch = [&](const StartedBatch& batch) {
        expect_lawful(batch, made.options);
      };
      made.options.on_refusal = [&](const WaitingRequest& request) { ++refusals[request.id]; };
      const SimulationResult result = simulate(made.options, ArrivalSource(made.arrivals));
      EXPECT_EQ(result.requests, 4000);
      EXPECT_EQ(result.answered + result.refused, result.requests);
      EXPECT_EQ(result.refused, static_cast<std::int64_t>(refusals.size()));
      for (const auto& [id, times] : refusals) EXPECT_EQ(times, 1) << id;
      EXPECT_LE(result.p50_us, result.p90_us);
      EXPECT_LE(result.p90_us, result.p99_us);
    }
  }
}

TEST(Simulator, IsTheSameForTheSameSeed) {
  for (const Policy policy : kAllPolicies) {
    const Case made = random_case(policy, 5);
    const auto a = simulate(made.options, ArrivalSource(made.arrivals));
    const auto b = simulate(made.options, ArrivalSource(made.arrivals));
    EXPECT_EQ(a.answered, b.answered);
    EXPECT_EQ(a.late, b.late);
    EXPECT_EQ(a.p99_us, b.p99_us);
    EXPECT_EQ(a.batches, b.batches);
  }
}

// Started only what can finish: with batches no longer than the interval says, nothing is late.
TEST(Simulator, TheDeadlinePolicyAnswersInTimeOrNotAtAll) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Case made = random_case(Policy::kDeadline, seed);
    made.options.instances = 1;
    // A limit below a model's largest batch cuts large requests into more slices than their
    // promise.
    made.options.memory_bytes = kNoLimit;
    const SimulationResult result = simulate(made.options, ArrivalSource(made.arrivals));
    EXPECT_EQ(result.late, 0) << "seed " << seed;
  }
}

// Among requests of a client, priority, model and shape that have the same time and size, nobody is
// overtaken, but for those who were passed over because they cost others their deadline.
TEST(Simulator, AClientsRequestsGoInOrder) {
  for (const Policy policy : {Policy::kDeadline, Policy::kDelay, Policy::kGreedy, Policy::kAimd}) {
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
      Case made = random_case(policy, seed);
      // Under overload the deadline policy passes over, and a timeout may put behind.
      made.arrivals.rate_per_s = 1500;
      made.arrivals.pattern = ArrivalPattern::kPoisson;
      made.options.scheduler.queue_timeout_us = kNever;
      made.options.replicas = 1;
      for (RequestKind& kind : made.arrivals.kinds) {
        kind.rows_low = kind.rows_high = 1;
        kind.timeout_us = 20'000;
      }
      std::map<std::array<int, 4>, std::int64_t> last;
      made.options.on_batch = [&](const StartedBatch& batch) {
        for (const BatchPiece& piece : batch.decision->batch) {
          const WaitingRequest& r = batch.view->waiting[piece.index];
          std::int64_t& before =
              last.try_emplace({r.client, r.priority, r.model, r.shape}, -1).first->second;
          EXPECT_GT(r.id, before);
          before = r.id;
        }
      };
      simulate(made.options, ArrivalSource(made.arrivals));
    }
  }
}

TEST(Simulator, AtLowLoadNobodyWaits) {
  SimulationOptions options;
  options.models = {fast_curve()};
  ArrivalOptions arrivals;
  arrivals.rate_per_s = 100;  // a hundredth of what one at a time would take
  arrivals.requests = 5000;
  arrivals.kinds[0].timeout_us = 500;
  const SimulationResult result = simulate(options, ArrivalSource(arrivals));
  EXPECT_EQ(result.refused, 0);
  EXPECT_FLOAT_EQ(static_cast<float>(result.p50_us), 100.0F);
}

TEST(Simulator, AFleetAnswersWhatOneReplicaCannot) {
  SimulationOptions options;
  options.models = {fast_curve()};
  ArrivalOptions arrivals;
  arrivals.rate_per_s = 250'000;  // about three times what one can do
  arrivals.requests = 100'000;
  arrivals.kinds[0].timeout_us = 2000;
  const SimulationResult alone = simulate(options, ArrivalSource(arrivals));
  EXPECT_LT(alone.answered, arrivals.requests / 2);
  options.replicas = 8;
  for (const auto balancer :
       {Balancer::kRoundRobin, Balancer::kTwoChoices, Balancer::kLeastOutstanding}) {
    options.balancer = balancer;
    const SimulationResult fleet = simulate(options, ArrivalSource(arrivals));
    EXPECT_EQ(fleet.late, 0);
    EXPECT_GT(fleet.answered, arrivals.requests * 99 / 100);
  }
}

TEST(Simulator, OverloadKeepsGoodputNearCapacity) {
  SimulationOptions options;
  options.models = {fast_curve()};
  ArrivalOptions arrivals;
  const double capacity_per_s = 32 / 380e-6;
  arrivals.rate_per_s = 3 * capacity_per_s;
  arrivals.requests = 50'000;
  arrivals.kinds[0].timeout_us = 2000;
  const SimulationResult result = simulate(options, ArrivalSource(arrivals));
  EXPECT_GT(result.goodput_per_s(), 0.95 * capacity_per_s);
  EXPECT_EQ(result.late, 0);
}

TEST(Simulator, UnderOverloadAModestClientIsServedBesideAGreedyOne) {
  SimulationOptions options;
  options.models = {fast_curve()};
  ArrivalOptions arrivals;
  arrivals.rate_per_s = 3 * 32 / 380e-6;
  arrivals.requests = 100'000;
  arrivals.kinds = {RequestKind{.weight = 30, .timeout_us = 2000, .client = 0},
                    RequestKind{.weight = 1, .timeout_us = 2000, .client = 1}};
  std::array<std::int64_t, 2> refused{};
  options.on_refusal = [&](const WaitingRequest& r) {
    ++refused.at(static_cast<std::size_t>(r.client));
  };
  simulate(options, ArrivalSource(arrivals));
  EXPECT_GT(refused[0], arrivals.requests / 2);
  // It asks for a tenth of the capacity, less than its half.
  EXPECT_LT(refused[1], arrivals.requests / 31 / 20);
}

TEST(Simulator, UnderOverloadADearModelIsServedBesideACheapOne) {
  SimulationOptions options;
  const auto dear = [](std::int64_t rows, double us) { return point(rows, us * 20); };
  options.models = {fast_curve(), CostCurve({dear(1, 100), dear(8, 300)})};
  ArrivalOptions arrivals;
  arrivals.rate_per_s = 3 * 32 / 380e-6;
  arrivals.requests = 50'000;
  // The dear one asks for about a third of the machine; an equal share would be a half.
  arrivals.kinds = {RequestKind{.weight = 1200, .timeout_us = 30'000, .model = 0},
                    RequestKind{.weight = 1, .timeout_us = 30'000, .model = 1}};
  std::array<double, 2> busy_us{};
  options.on_batch = [&](const StartedBatch& batch) {
    busy_us.at(static_cast<std::size_t>(batch.decision->model)) += batch.us;
  };
  std::array<std::int64_t, 2> refused{};
  options.on_refusal = [&](const WaitingRequest& r) {
    ++refused.at(static_cast<std::size_t>(r.model));
  };
  simulate(options, ArrivalSource(arrivals));
  EXPECT_GT(refused[0], arrivals.requests / 2);
  EXPECT_GT(busy_us[1], 0.2 * (busy_us[0] + busy_us[1]));
}

TEST(Simulator, OneRowThatDoesNotFitIsSaid) {
  SimulationOptions options;
  options.models = {fast_curve()};
  options.memory_bytes = 1000;
  ArrivalOptions arrivals;
  arrivals.requests = 1;
  try {
    simulate(options, ArrivalSource(arrivals));
    FAIL() << "it ran";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNo);
  }
}

}  // namespace
}  // namespace batchwise

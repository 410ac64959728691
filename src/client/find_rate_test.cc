// SPDX-License-Identifier: Apache-2.0
#include "client/find_rate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace batchwise {
namespace {

// The numbers of queries that MLPerf LoadGen asks for, by how many may be over the limit: its
// published rule for the 99th and the 90th percentile with 99 % confidence.
TEST(JudgeRate, NeedsAsManyRequestsAsLoadGen) {
  const std::vector<std::pair<int, int>> p99{{0, 459}, {1, 662}, {2, 838}, {5, 1307}, {10, 2010}};
  for (const auto& [late, needed] : p99) {
    EXPECT_EQ(judge_rate(needed, late), RateVerdict::kHolds) << late;
    EXPECT_NE(judge_rate(needed - 1, late), RateVerdict::kHolds) << late;
  }
  for (const auto& [late, needed] : {std::pair{0, 44}, {1, 64}, {5, 127}, {20, 325}}) {
    EXPECT_EQ(judge_rate(needed, late, 0.1), RateVerdict::kHolds) << late;
    EXPECT_NE(judge_rate(needed - 1, late, 0.1), RateVerdict::kHolds) << late;
  }
  EXPECT_EQ(requests_to_judge(), 459);
}

TEST(JudgeRate, FailsWhereMoreAreLateThanChanceGives) {
  EXPECT_EQ(judge_rate(1000, 10), RateVerdict::kUnsure);
  EXPECT_EQ(judge_rate(1000, 30), RateVerdict::kFails);
  EXPECT_EQ(judge_rate(5, 5), RateVerdict::kFails);
  EXPECT_EQ(judge_rate(10, 0), RateVerdict::kUnsure);
  EXPECT_EQ(judge_rate(0, 0), RateVerdict::kUnsure);
}

TEST(ConfidentQuantile, LeavesOutAsManyAsTheConfidenceAllows) {
  LatencyHistogram latencies;
  for (int i = 1; i <= 458; ++i) latencies.add_us(i);
  EXPECT_EQ(confident_quantile_us(latencies, 0.99), 0);
  latencies.add_us(459);
  EXPECT_NEAR(confident_quantile_us(latencies, 0.99), 459, 0.5);
  for (int i = 460; i <= 2010; ++i) latencies.add_us(i);
  // Of 2,010, ten may be over: the tenth largest.
  EXPECT_NEAR(confident_quantile_us(latencies, 0.99), 2001, 2.1);
}

TEST(FindRate, ComesNearTheEdgeFromAnywhere) {
  for (const double edge : {0.3, 7.0, 1234.0, 9e5}) {
    for (const double first : {edge / 20, edge / 3, edge, edge * 2, edge * 30}) {
      FindRateOptions options;
      options.first_per_s = first;
      options.most_trials = 30;
      int trials = 0;
      const double found = find_rate(
          [&](double rate, RateVerdict& verdict) {
            ++trials;
            verdict = rate <= edge ? RateVerdict::kHolds
                                   : (rate < 2 * edge ? RateVerdict::kUnsure : RateVerdict::kFails);
            return true;
          },
          options);
      EXPECT_LE(found, edge);
      EXPECT_GE(found, edge / 1.031) << edge << " from " << first;
      EXPECT_LE(trials, 20);
    }
  }
}

TEST(FindRate, SaysWhereNothingHolds) {
  const auto never = [](double, RateVerdict& verdict) {
    verdict = RateVerdict::kFails;
    return true;
  };
  EXPECT_EQ(find_rate(never, {.first_per_s = 10}), 0);
  int calls = 0;
  const auto stops = [&](double, RateVerdict& verdict) {
    verdict = RateVerdict::kHolds;
    return ++calls < 3;
  };
  EXPECT_EQ(find_rate(stops, {.first_per_s = 10}), 15);
}

}  // namespace
}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "measure/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace batchwise {
namespace {

std::vector<double> one_to(int n) {
  std::vector<double> values;
  for (int i = n; i >= 1; --i) values.push_back(i);
  return values;
}

// The ranks of the table in Conover, Practical Nonparametric Statistics, for the median at 95 %.
TEST(Statistics, MedianIntervalHasTheTabulatedRanks) {
  struct Row {
    int samples, low, high;
  };
  for (const Row& row : {Row{6, 1, 6}, Row{8, 1, 8}, Row{9, 2, 8}, Row{10, 2, 9}, Row{15, 4, 12},
                         Row{20, 6, 15}, Row{25, 8, 18}, Row{50, 18, 33}, Row{100, 40, 61}}) {
    const Interval interval = median_interval(one_to(row.samples));
    EXPECT_EQ(interval.low, row.low) << row.samples;
    EXPECT_EQ(interval.high, row.high) << row.samples;
    EXPECT_EQ(interval.median, (row.samples + 1) / 2.0) << row.samples;
    EXPECT_TRUE(interval.covers);
  }
}

TEST(Statistics, TooFewSamplesSaySo) {
  const Interval five = median_interval(one_to(5));
  EXPECT_FALSE(five.covers);
  EXPECT_EQ(five.low, 1);
  EXPECT_EQ(five.high, 5);
  EXPECT_FALSE(median_interval(std::vector<double>{3}).covers);
}

// 1 - 0.99^n reaches 97.5 % at n = 368: only then does the largest sample bound the p99.
TEST(Statistics, P99NeedsManySamples) {
  EXPECT_FALSE(p99_interval(one_to(367)).covers);
  EXPECT_TRUE(p99_interval(one_to(368)).covers);
  EXPECT_EQ(p99_interval(one_to(368)).high, 368);
  EXPECT_EQ(p99_interval(one_to(1000)).median, 990);
  EXPECT_EQ(p99_interval(one_to(100)).median, 99);
}

TEST(Statistics, IntervalsCoverAsOftenAsTheySay) {
  std::mt19937 random(7);
  std::exponential_distribution<double> draw(1.0);
  int median_hits = 0, p90_hits = 0;
  constexpr int kTrials = 2000;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> samples(100);
    for (double& sample : samples) sample = draw(random);
    const Interval median = median_interval(samples);
    const Interval p90 = quantile_interval(samples, 0.9);
    median_hits += median.low <= std::log(2.0) && std::log(2.0) <= median.high;
    p90_hits += p90.low <= std::log(10.0) && std::log(10.0) <= p90.high;
  }
  EXPECT_GE(median_hits, kTrials * 94 / 100);
  EXPECT_GE(p90_hits, kTrials * 94 / 100);
  EXPECT_LE(median_hits, kTrials * 99 / 100);
}

TEST(Statistics, BinomialAgreesWithCounting) {
  // Pascal's triangle: 2^-20 * sum of binomials.
  double term = 1, sum = 0;
  for (int k = 0; k <= 20; ++k) {
    sum += term;
    EXPECT_NEAR(binomial_cdf(k, 20, 0.5), std::ldexp(sum, -20), 1e-12);
    term = term * (20 - k) / (k + 1);
  }
  EXPECT_EQ(binomial_cdf(-1, 20, 0.5), 0);
}

// Against the published table of t.
TEST(Statistics, StudentT) {
  EXPECT_NEAR(student_t_95(2), 4.303, 1e-3);
  EXPECT_NEAR(student_t_95(11), 2.201, 1e-3);
  EXPECT_NEAR(student_t_95(30), 2.042, 1e-3);
  EXPECT_NEAR(student_t_95(1000), 1.962, 1e-3);
}

TEST(Statistics, MeanInterval) {
  const Interval interval = mean_interval(std::vector<double>{0.97, 0.98, 0.99});
  EXPECT_NEAR(interval.median, 0.98, 1e-12);
  EXPECT_NEAR(interval.high - 0.98, 4.303 * 0.01 / std::sqrt(3.0), 1e-9);
  EXPECT_FALSE(mean_interval(std::vector<double>{0.97}).covers);
}

TEST(Statistics, ReciprocalTurnsTheIntervalAround) {
  const Interval rate = reciprocal({50, 100, 200}, 1e6);
  EXPECT_EQ(rate.low, 5000);
  EXPECT_EQ(rate.median, 10000);
  EXPECT_EQ(rate.high, 20000);
  EXPECT_TRUE(std::isinf(reciprocal({0, 1, 1}, 1).high));
}

}  // namespace
}  // namespace batchwise

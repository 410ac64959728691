// SPDX-License-Identifier: Apache-2.0
#include "client/latency_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "batching/simulation_random.h"

namespace batchwise {
namespace {

// The smallest value that a share q of all do not exceed.
double sorted_quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const auto rank =
      static_cast<std::size_t>(std::max(1.0, std::ceil(q * static_cast<double>(values.size()))));
  return values[rank - 1];
}

TEST(LatencyHistogram, QuantilesAreThoseOfTheSortedValuesToThreeDigits) {
  SimulationRandom random(7);
  for (const double scale : {0.05, 3.0, 250.0, 40e3, 9e6, 3e9}) {
    LatencyHistogram histogram;
    std::vector<double> values;
    for (int i = 0; i < 5000; ++i) {
      values.push_back(random.exponential(scale));
      histogram.add_us(values.back());
    }
    for (const double q : {0.0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
      const double exact = sorted_quantile(values, q);
      // A nanosecond is the smallest unit.
      EXPECT_NEAR(histogram.quantile_us(q), exact, 0.001 * exact + 0.001) << scale << " " << q;
    }
    std::sort(values.rbegin(), values.rend());
    for (const std::int64_t k : {1, 2, 50, 5000}) {
      const double exact = values[static_cast<std::size_t>(k - 1)];
      EXPECT_NEAR(histogram.largest_us(k), exact, 0.001 * exact + 0.001);
    }
    EXPECT_NEAR(histogram.max_us(), values.front(), 0.001);
  }
}

TEST(LatencyHistogram, SmallWholeValuesAreExact) {
  LatencyHistogram histogram;
  for (int ns = 0; ns < 2048; ++ns) histogram.add_us(ns / 1e3);
  for (const int ns : {0, 1, 700, 1023, 1024, 2047}) {
    EXPECT_NEAR(histogram.largest_us(2048 - ns), ns / 1e3, 1e-9);
    EXPECT_EQ(histogram.count_above(ns / 1e3), 2047 - ns);
  }
  EXPECT_NEAR(histogram.mean_us(), 2047 / 2e3, 1e-9);
}

TEST(LatencyHistogram, TwoAddedAreOne) {
  LatencyHistogram a, b, both;
  for (int i = 1; i <= 1000; ++i) {
    (i % 3 == 0 ? a : b).add_us(i * 17.3);
    both.add_us(i * 17.3);
  }
  a.add(b);
  EXPECT_EQ(a.count(), both.count());
  EXPECT_EQ(a.max_us(), both.max_us());
  EXPECT_NEAR(a.mean_us(), both.mean_us(), 1e-6);
  for (const double q : {0.1, 0.5, 0.99}) EXPECT_EQ(a.quantile_us(q), both.quantile_us(q));
}

TEST(LatencyHistogram, TakesWhatIsNoLatency) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.quantile_us(0.99), 0);
  for (const double odd : {-5.0, std::nan(""), 1e300, HUGE_VAL}) histogram.add_us(odd);
  EXPECT_EQ(histogram.count(), 4);
  EXPECT_EQ(histogram.largest_us(4), 0);
  EXPECT_NEAR(histogram.max_us(), 86400e6, 1);
}

}  // namespace
}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "serve/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace batchwise::serve {
namespace {

// The largest ratio of two values in one bucket.
constexpr double kBucket = 1.125;

std::vector<double> skewed_values(int count) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> distribution(6, 2);
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(1 + distribution(random));
  std::sort(values.begin(), values.end());
  return values;
}

TEST(Histogram, QuantilesAreThoseOfSortedDataToWithinABucket) {
  const std::vector<double> values = skewed_values(20'000);
  Histogram histogram;
  for (const double value : values) histogram.add(value);
  EXPECT_EQ(histogram.count(), 20'000);
  for (const double q : {0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<std::size_t>(std::ceil(q * 20'000)) - 1;
    EXPECT_GE(histogram.quantile(q), values[rank] / kBucket) << q;
    EXPECT_LE(histogram.quantile(q), values[rank] * kBucket) << q;
  }
}

TEST(Histogram, CountsUpToAValueToWithinABucket) {
  const std::vector<double> values = skewed_values(20'000);
  Histogram histogram;
  for (const double value : values) histogram.add(value);
  for (const double limit : {2.0, 50.0, 400.0, 3e3, 1e5}) {
    const auto up_to = [&](double most) {
      return std::upper_bound(values.begin(), values.end(), most) - values.begin();
    };
    EXPECT_GE(histogram.count_up_to(limit), up_to(limit)) << limit;
    EXPECT_LE(histogram.count_up_to(limit), up_to(limit * kBucket)) << limit;
  }
}

TEST(Histogram, SumsAndTakesAnyNumber) {
  Histogram a, b;
  EXPECT_EQ(a.quantile(0.5), 0);
  a.add(3);
  a.add(10, 4);
  b.add(0);
  b.add(-1);
  b.add(1e300);
  b.add(std::nan(""));
  EXPECT_DOUBLE_EQ(a.sum(), 43);
  EXPECT_EQ(b.count(), 4);
  a.add(b);
  EXPECT_EQ(a.count(), 9);
  EXPECT_EQ(a.count_up_to(1e300), 9);
  EXPECT_EQ(a.count_up_to(0.5), 3);
}

}  // namespace
}  // namespace batchwise::serve

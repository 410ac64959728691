// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>

namespace batchwise {

// A figure with its 95 % interval. `median` is the estimate itself, whatever it estimates (median,
// 99th percentile, mean over seeds). A plain value.
struct Interval {
  double low = 0;
  double median = 0;
  double high = 0;
  // False where there were too few samples for 95 %: the ends are then the smallest and the
  // largest sample, which is the most that can be said.
  bool covers = true;

  // Width over estimate; how sure we are.
  double relative_width() const { return median != 0 ? (high - low) / median : 0; }
  bool overlaps(const Interval& other) const { return low <= other.high && other.low <= high; }
};

// P(X <= k) of a binomial distribution with n trials; exact to double rounding.
double binomial_cdf(std::int64_t k, std::int64_t n, double probability);

// The quantile (0 < quantile < 1) and its 95 % interval by order statistics: assumes nothing about
// the distribution but independence. Requires: samples is not empty. The median is the mean of the
// middle two of an even number; any other quantile is the smallest sample that at least that share
// of the samples does not exceed.
Interval quantile_interval(std::span<const double> samples, double quantile);
Interval median_interval(std::span<const double> samples);
Interval p99_interval(std::span<const double> samples);

// The mean and its 95 % interval by Student's t: for few samples that are near normal, such as a
// final metric over seeds. One sample has no interval (covers is false).
Interval mean_interval(std::span<const double> samples);

// a/x of an interval of x: samples a second from microseconds a call, say.
Interval reciprocal(const Interval& x, double a);

// The two-sided 95 % quantile of Student's t.
double student_t_95(std::int64_t degrees_of_freedom);

}  // namespace batchwise

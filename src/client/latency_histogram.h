// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

namespace batchwise {

// Counts of durations with three significant digits, from a nanosecond to a day, in memory that
// does not grow: buckets of equal width within each power of two, 1,024 of them (as
// HdrHistogram's). A plain value.
class LatencyHistogram {
 public:
  LatencyHistogram();

  // Negative ones count as 0, ones above a day as a day.
  void add_us(double us);
  void add(const LatencyHistogram& other);

  std::int64_t count() const { return count_; }
  double mean_us() const { return count_ > 0 ? sum_us_ / static_cast<double>(count_) : 0; }
  double max_us() const { return max_us_; }
  // The smallest value that at least a share `q` of all do not exceed, to within 0.1 %; 0 without
  // any.
  double quantile_us(double q) const;
  // The k-th largest, from 1, to within 0.1 %. Requires: 1 <= k <= count().
  double largest_us(std::int64_t k) const;
  // How many are above `us`, to within a bucket.
  std::int64_t count_above(double us) const;

 private:
  std::vector<std::int64_t> buckets_;
  std::int64_t count_ = 0;
  double sum_us_ = 0, max_us_ = 0;
};

}  // namespace batchwise

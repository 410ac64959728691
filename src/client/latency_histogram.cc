// SPDX-License-Identifier: Apache-2.0
#include "client/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace batchwise {
namespace {

constexpr int kDigitBits = 10;  // 1,024 buckets in a power of two: a width below 0.1 %
constexpr std::uint64_t kFirst = std::uint64_t{2} << kDigitBits;  // below it, one value a bucket
constexpr double kMostUs = 86400e6;
constexpr double kNsInUs = 1e3;

std::uint64_t nanoseconds(double us) {
  // A comparison with NaN is false, too.
  const double kept = us > 0 ? std::min(us, kMostUs) : 0;
  return static_cast<std::uint64_t>(std::llround(kept * kNsInUs));
}

std::size_t bucket_of(std::uint64_t ns) {
  if (ns < kFirst) return static_cast<std::size_t>(ns);
  const int shift = std::bit_width(ns) - (kDigitBits + 1);
  // The top bits are in [2^kDigitBits, 2^(kDigitBits+1)); each shift has half of kFirst of them.
  return static_cast<std::size_t>((ns >> shift) +
                                  (static_cast<std::uint64_t>(shift) << kDigitBits));
}

// The largest value of a bucket.
double top_us(std::size_t bucket) {
  if (bucket < kFirst) return static_cast<double>(bucket) / kNsInUs;
  const std::uint64_t shift = (bucket >> kDigitBits) - 1;
  const std::uint64_t digits = bucket - (shift << kDigitBits);
  return static_cast<double>(((digits + 1) << shift) - 1) / kNsInUs;
}

}  // namespace

LatencyHistogram::LatencyHistogram() : buckets_(bucket_of(nanoseconds(kMostUs)) + 1) {}

void LatencyHistogram::add_us(double us) {
  const std::uint64_t ns = nanoseconds(us);
  ++buckets_[bucket_of(ns)];
  ++count_;
  const double kept = static_cast<double>(ns) / kNsInUs;
  sum_us_ += kept;
  max_us_ = std::max(max_us_, kept);
}

void LatencyHistogram::add(const LatencyHistogram& other) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_us_ += other.sum_us_;
  max_us_ = std::max(max_us_, other.max_us_);
}

double LatencyHistogram::quantile_us(double q) const {
  if (count_ == 0) return 0;
  const auto wanted = static_cast<std::int64_t>(std::ceil(q * static_cast<double>(count_)));
  return largest_us(count_ + 1 - std::clamp<std::int64_t>(wanted, 1, count_));
}

double LatencyHistogram::largest_us(std::int64_t k) const {
  const std::int64_t wanted = count_ + 1 - k;
  std::int64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return std::min(top_us(i), max_us_);
  }
  return max_us_;
}

std::int64_t LatencyHistogram::count_above(double us) const {
  std::int64_t above = 0;
  for (std::size_t i = bucket_of(nanoseconds(us)) + 1; i < buckets_.size(); ++i) {
    above += buckets_[i];
  }
  return above;
}

}  // namespace batchwise

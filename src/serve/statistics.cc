// SPDX-License-Identifier: Apache-2.0
#include "serve/statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace batchwise::serve {
namespace {

constexpr int kStepsAnOctave = 8;

// Bucket i begins at (1 + step / 8) * 2^octave: found from the bits of the number, without a
// logarithm.
int bucket_of(double value) {
  if (!(value >= 1)) return 0;
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const int octave = static_cast<int>(bits >> 52U) - 1023;
  const int step = static_cast<int>((bits >> 49U) & 7U);
  return std::min(octave * kStepsAnOctave + step, Histogram::kBuckets - 1);
}

double begin_of(int bucket) {
  const double step = bucket % kStepsAnOctave;
  return std::ldexp(1 + step / kStepsAnOctave, bucket / kStepsAnOctave);
}

}  // namespace

void Histogram::add(double value, std::int64_t count) {
  buckets_[static_cast<std::size_t>(bucket_of(value))] += count;
  count_ += count;
  sum_ += value * static_cast<double>(count);
}

void Histogram::add(const Histogram& other) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
}

double Histogram::quantile(double q) const {
  if (count_ == 0) return 0;
  const double wanted = std::max(1.0, std::ceil(q * static_cast<double>(count_)));
  std::int64_t seen = 0;
  for (int i = 0; i < kBuckets; ++i) {
    const std::int64_t here = buckets_[static_cast<std::size_t>(i)];
    if (here == 0) continue;
    if (static_cast<double>(seen + here) >= wanted) {
      // As if the values of a bucket lay evenly in it.
      const double begin = i == 0 ? 0 : begin_of(i);
      const double share = (wanted - static_cast<double>(seen)) / static_cast<double>(here);
      return begin + share * (begin_of(i + 1) - begin);
    }
    seen += here;
  }
  return begin_of(kBuckets);
}

std::int64_t Histogram::count_up_to(double value) const {
  if (!(value >= 0)) return 0;
  std::int64_t seen = 0;
  const int last = bucket_of(value);
  for (int i = 0; i <= last; ++i) seen += buckets_[static_cast<std::size_t>(i)];
  return seen;
}

std::string_view failure_name(Failure failure) {
  switch (failure) {
    case Failure::kRejected:
      return "REJECTED";
    case Failure::kCancelled:
      return "CANCELED";
    case Failure::kBackend:
      return "BACKEND";
    case Failure::kOther:
      return "OTHER";
    case Failure::kExpired:
      return "EXPIRED";
  }
  return "OTHER";
}

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#include "fit/lane_sums.h"

namespace batchwise {

void add_lane(const std::byte* left, std::byte* gradients, std::int64_t bytes, ThreadPool& pool) {
  const auto* from = reinterpret_cast<const float*>(left);
  auto* to = reinterpret_cast<float*>(gradients);
  pool.run([&](int part) {
    const auto [begin, end] = part_range(bytes / 4, part, pool.threads(), 16);
    for (std::int64_t i = begin; i < end; ++i) to[i] = from[i] + to[i];
  });
}

double squared_norm(const std::byte* gradients, std::int64_t bytes) {
  // Eight sums, so that the additions do not wait for each other.
  constexpr std::int64_t kSums = 8;
  const auto* values = reinterpret_cast<const float*>(gradients);
  const std::int64_t count = bytes / 4;
  double sums[kSums] = {};
  for (std::int64_t i = 0; i < count; ++i) {
    const auto value = static_cast<double>(values[i]);
    sums[i % kSums] += value * value;
  }
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

}  // namespace batchwise

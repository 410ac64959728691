// SPDX-License-Identifier: Apache-2.0
#include "data/order.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace batchwise {
namespace {

// The finalizer of SplitMix64: one to one, every bit of the input moves every bit of the result.
std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;

}  // namespace

// Fisher and Yates, from the back. Draw i is a function of the key and i; taking the high half of
// a product with the bound is off from uniform by less than bound / 2^64.
void fill_epoch_order(std::uint64_t seed, std::int64_t epoch, std::span<std::uint32_t> order) {
  BW_CHECK(order.size() < (std::uint64_t{1} << 32), "{} samples", order.size());
  std::iota(order.begin(), order.end(), 0u);
  const std::uint64_t key =
      mix(mix(seed + kGolden) + kGolden * (static_cast<std::uint64_t>(epoch) + 1));
  for (std::uint64_t i = order.size(); i > 1; --i) {
    const std::uint64_t draw = mix(key + kGolden * i);
    const auto other = static_cast<std::size_t>((static_cast<unsigned __int128>(draw) * i) >> 64);
    std::swap(order[static_cast<std::size_t>(i - 1)], order[other]);
  }
}

std::vector<std::int64_t> epoch_order(std::int64_t n, std::uint64_t seed, std::int64_t epoch) {
  std::vector<std::uint32_t> order(static_cast<std::size_t>(n));
  fill_epoch_order(seed, epoch, order);
  return std::vector<std::int64_t>(order.begin(), order.end());
}

TrainValidation split_for_validation(std::int64_t n, double fraction) {
  if (!(fraction >= 0 && fraction < 1)) {
    fail_input("--validation-split", "{}: must be at least 0 and below 1", fraction);
  }
  const auto train = static_cast<std::int64_t>(std::floor(static_cast<double>(n) * (1 - fraction)));
  if (train == 0) fail_input("--validation-split", "{} of {} samples leaves none", fraction, n);
  return {{0, train}, {train, n}};
}

}  // namespace batchwise

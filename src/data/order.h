// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace batchwise {

// Fills `order` with a permutation of 0 ... order.size()-1: a pure function of size, seed and
// epoch, the same on every machine.
// Requires: order.size() < 2^32.
void fill_epoch_order(std::uint64_t seed, std::int64_t epoch, std::span<std::uint32_t> order);
std::vector<std::int64_t> epoch_order(std::int64_t n, std::uint64_t seed, std::int64_t epoch);

// The samples [begin, end) of a data set.
struct SampleRange {
  std::int64_t begin = 0, end = 0;
  std::int64_t count() const { return end - begin; }
};

// The last samples are for validation: floor(n * (1 - fraction)) are for training. PartedSource
// puts samples drawn by chance there. Throws Error where `fraction` is not in [0, 1) or leaves
// nothing to train with.
struct TrainValidation {
  SampleRange train, validation;
};
TrainValidation split_for_validation(std::int64_t n, double fraction);

}  // namespace batchwise

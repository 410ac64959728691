// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>

namespace batchwise {

// Random numbers without state: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", 2011), a hash of a 128-bit counter under a 64-bit key. The same place gives the same
// number whatever was drawn before, so results depend neither on threads nor on micro-batches.
using RandomBlock = std::array<std::uint32_t, 4>;

constexpr RandomBlock philox4x32(RandomBlock counter, std::uint64_t key) {
  auto low = static_cast<std::uint32_t>(key);
  auto high = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {
        static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ low, static_cast<std::uint32_t>(b),
        static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ high, static_cast<std::uint32_t>(a)};
    low += 0x9E3779B9u;
    high += 0xBB67AE85u;
  }
  return counter;
}

// The mask of a dropout layer. Element e of sample s is dropped where the number at (seed, step,
// stream, s, e) lies below the ratio: word e mod 4 of the block that counter {e / 4, s, step,
// stream} gives under the seed. A kernel that wants four elements at once takes the block.
class DropoutMask {
 public:
  // Requires: 0 <= ratio < 1.
  DropoutMask(double ratio, std::uint64_t seed, std::int64_t step, std::int64_t stream)
      : threshold_(static_cast<std::uint32_t>(ratio * 4294967296.0)),
        seed_(seed),
        step_(static_cast<std::uint32_t>(step)),
        stream_(static_cast<std::uint32_t>(stream)) {}

  RandomBlock block(std::int64_t sample, std::int64_t element) const {
    return philox4x32({static_cast<std::uint32_t>(element / 4), static_cast<std::uint32_t>(sample),
                       step_, stream_},
                      seed_);
  }
  bool keeps_word(std::uint32_t word) const { return word >= threshold_; }
  bool keeps(std::int64_t sample, std::int64_t element) const {
    return keeps_word(block(sample, element)[static_cast<std::size_t>(element % 4)]);
  }

 private:
  std::uint32_t threshold_;
  std::uint64_t seed_;
  std::uint32_t step_, stream_;
};

}  // namespace batchwise

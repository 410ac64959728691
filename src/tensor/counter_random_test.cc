// SPDX-License-Identifier: Apache-2.0
#include "tensor/counter_random.h"

#include <gtest/gtest.h>

namespace batchwise {
namespace {

// The known answers that come with the authors' implementation (Random123, kat_vectors).
TEST(Philox, GivesTheAuthorsKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, 0),
            (RandomBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffffffffffff),
            (RandomBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822),
            (RandomBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(DropoutMask, DropsTheShareThatItIsGiven) {
  for (double ratio : {0.0, 0.2, 0.5, 0.9}) {
    const DropoutMask mask(ratio, 42, 3, 1);
    int dropped = 0;
    for (int sample = 0; sample < 100; ++sample) {
      for (int element = 0; element < 100; ++element) dropped += !mask.keeps(sample, element);
    }
    EXPECT_NEAR(dropped, 10000 * ratio, 200) << ratio;
  }
}

TEST(DropoutMask, DiffersBySeedStepStreamAndSample) {
  const auto bits = [](const DropoutMask& mask, std::int64_t sample) {
    std::uint64_t word = 0;
    for (int element = 0; element < 64; ++element) word = word << 1 | mask.keeps(sample, element);
    return word;
  };
  const DropoutMask mask(0.5, 42, 3, 1);
  EXPECT_EQ(bits(mask, 7), bits(DropoutMask(0.5, 42, 3, 1), 7));
  EXPECT_NE(bits(mask, 7), bits(mask, 8));
  EXPECT_NE(bits(mask, 7), bits(DropoutMask(0.5, 43, 3, 1), 7));
  EXPECT_NE(bits(mask, 7), bits(DropoutMask(0.5, 42, 4, 1), 7));
  EXPECT_NE(bits(mask, 7), bits(DropoutMask(0.5, 42, 3, 2), 7));
}

}  // namespace
}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "data/order.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "data/test_folder.h"

namespace batchwise {
namespace {

using testing::ElementsAre;

// The bits of a training run depend on these numbers: they may never change.
TEST(Order, IsTheSameOnEveryMachine) {
  EXPECT_THAT(epoch_order(8, 0, 0), ElementsAre(2, 5, 0, 4, 3, 7, 6, 1));
}

TEST(Order, IsAPermutationOfItsOwnForEverySeedAndEpoch) {
  std::vector<std::int64_t> sorted(1000);
  std::iota(sorted.begin(), sorted.end(), 0);
  std::vector<std::vector<std::int64_t>> seen;
  for (std::uint64_t seed : {0u, 1u, 2u}) {
    for (std::int64_t epoch : {0, 1, 2}) {
      auto order = epoch_order(1000, seed, epoch);
      EXPECT_EQ(order, epoch_order(1000, seed, epoch));
      EXPECT_EQ(std::count(seen.begin(), seen.end(), order), 0);
      seen.push_back(order);
      std::sort(order.begin(), order.end());
      EXPECT_EQ(order, sorted);
    }
  }
  EXPECT_TRUE(epoch_order(0, 0, 0).empty());
  EXPECT_THAT(epoch_order(1, 5, 9), ElementsAre(0));
}

// Chi-square over all 24 orders of four samples: 23 degrees of freedom, 49.7 is the 0.1 % point.
TEST(Order, EveryOrderIsAsLikely) {
  std::vector<int> counts(256);
  constexpr int kEpochs = 24000;
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    const auto order = epoch_order(4, 3, epoch);
    ++counts[static_cast<std::size_t>(order[0] * 64 + order[1] * 16 + order[2] * 4 + order[3])];
  }
  double chi_square = 0;
  int orders = 0;
  for (const int count : counts) {
    if (count == 0) continue;
    ++orders;
    chi_square += (count - kEpochs / 24.0) * (count - kEpochs / 24.0) / (kEpochs / 24.0);
  }
  EXPECT_EQ(orders, 24);
  EXPECT_LT(chi_square, 49.7);
}

TEST(Order, ValidationIsTheLastSamples) {
  const auto [train, validation] = split_for_validation(11, 0.2);
  EXPECT_EQ(train.end, 8);  // floor(11 * 0.8)
  EXPECT_EQ(validation.begin, 8);
  EXPECT_EQ(validation.end, 11);
  EXPECT_EQ(split_for_validation(11, 0).validation.count(), 0);
  EXPECT_EQ(error_of([] { split_for_validation(10, 1.0); }),
            "[--validation-split] 1: must be at least 0 and below 1");
  EXPECT_EQ(error_of([] { split_for_validation(1, 0.5); }),
            "[--validation-split] 0.5 of 1 samples leaves none");
}

}  // namespace
}  // namespace batchwise

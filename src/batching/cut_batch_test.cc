// SPDX-License-Identifier: Apache-2.0
#include "batching/cut_batch.h"

#include <gtest/gtest.h>

namespace batchwise {
namespace {

void expect_whole(const std::vector<BatchSlice>& slices, std::int64_t count) {
  std::int64_t next = 0;
  for (const BatchSlice& piece : slices) {
    EXPECT_EQ(piece.first, next);
    EXPECT_GE(piece.count, 1);
    next += piece.count;
  }
  EXPECT_EQ(next, count);
}

TEST(CutBatch, InferenceSlicesAreNearlyEqual) {
  for (std::int64_t count : {1, 31, 32, 33, 65, 100, 1000}) {
    for (std::int64_t micro : {1, 7, 32, 64}) {
      const auto slices = cut_evenly(count, micro);
      expect_whole(slices, count);
      std::int64_t low = count, high = 0;
      for (const BatchSlice& piece : slices) {
        low = std::min(low, piece.count);
        high = std::max(high, piece.count);
      }
      EXPECT_LE(high, micro);
      EXPECT_LE(high - low, 1);
    }
  }
  EXPECT_TRUE(cut_evenly(0, 8).empty());
}

TEST(CutBatch, SlicesCanBeAskedForOneByOne) {
  for (std::int64_t count : {0, 1, 33, 1000}) {
    for (std::int64_t micro : {1, 7, 32, 2000}) {
      const auto slices = cut_evenly(count, micro);
      const std::int64_t number = count_even_slices(count, micro);
      ASSERT_EQ(number, static_cast<std::int64_t>(slices.size()));
      for (std::int64_t i = 0; i < number; ++i) {
        EXPECT_EQ(even_slice(count, number, i), slices[static_cast<std::size_t>(i)]);
      }
    }
  }
}

TEST(CutBatch, TrainingLanesDoNotDependOnTheMicroBatch) {
  for (std::int64_t batch : {1, 8, 63, 64, 192, 300, 1000}) {
    for (std::int64_t granule : {1, 16}) {
      std::vector<std::int64_t> lanes_of_first;
      for (std::int64_t micro : {1, 3, 8, 64, 4096}) {
        const TrainingCut cut = cut_training_batch(batch, granule, micro);
        expect_whole(cut.slices, batch);
        std::vector<std::int64_t> lanes;
        for (const BatchSlice& piece : cut.slices) {
          if (piece.starts_lane) lanes.push_back(piece.first);
          EXPECT_LE(piece.count, cut.micro_batch);
          EXPECT_EQ(piece.first % granule, 0);
          if (piece.first + piece.count != batch) {
            EXPECT_EQ(piece.count % granule, 0);
          }
        }
        EXPECT_EQ(static_cast<std::int64_t>(lanes.size()), cut.lanes);
        if (lanes_of_first.empty()) lanes_of_first = lanes;
        EXPECT_EQ(lanes, lanes_of_first);
      }
    }
  }
}

// What a cut reports as its micro-batch, and its whole granules, give the same cut again; the
// latter for a batch of another size too, as the last one of an epoch is.
TEST(CutBatch, TrainingCutsAreTheSameByTheirOwnMicroBatch) {
  for (std::int64_t batch = 1; batch <= 200; ++batch) {
    for (std::int64_t granule : {1, 2, 3, 7, 16, 64}) {
      for (std::int64_t micro : {1, 2, 3, 5, 15, 16, 17, 20, 33, 100, 4096}) {
        const TrainingCut cut = cut_training_batch(batch, granule, micro);
        EXPECT_GE(cut.micro_batch, std::min(micro, cut.slices.front().count));
        EXPECT_EQ(cut.whole_granules % granule, 0);
        for (std::int64_t again : {cut.micro_batch, cut.whole_granules}) {
          EXPECT_EQ(cut_training_batch(batch, granule, again).slices, cut.slices)
              << batch << " in granules of " << granule << " by " << micro << " and " << again;
        }
        for (std::int64_t other : {1, 5, 63, 64, 99}) {
          for (const BatchSlice& slice :
               cut_training_batch(other, granule, cut.whole_granules).slices) {
            EXPECT_LT(slice.count, cut.whole_granules + granule);
          }
        }
      }
    }
  }
}

int slices_of_longest_lane(const TrainingCut& cut) {
  int most = 0, count = 0;
  for (const BatchSlice& slice : cut.slices) {
    count = slice.starts_lane ? 1 : count + 1;
    most = std::max(most, count);
  }
  return most;
}

TEST(CutBatch, EvenMicroBatchesNeedNoMoreSlices) {
  EXPECT_EQ(even_micro_batch(100, 1, 32), 25);   // two lanes of 50
  EXPECT_EQ(even_micro_batch(192, 16, 64), 48);  // two lanes of 6 granules
  EXPECT_EQ(even_micro_batch(10, 0, 4), 10);
  for (std::int64_t batch = 1; batch <= 200; ++batch) {
    for (std::int64_t granule : {1, 3, 16}) {
      for (std::int64_t micro = 1; micro <= batch; micro += 3) {
        const TrainingCut cut = cut_training_batch(batch, granule, micro);
        const std::int64_t even = even_micro_batch(batch, granule, micro);
        EXPECT_LE(even, cut.whole_granules);
        EXPECT_EQ(slices_of_longest_lane(cut_training_batch(batch, granule, even)),
                  slices_of_longest_lane(cut))
            << batch << " in granules of " << granule << " by " << micro;
      }
    }
  }
}

TEST(CutBatch, AShortLastGroupJoinsTheOneBeforeIt) {
  const TrainingCut cut = cut_training_batch(10, 4, 4);
  ASSERT_EQ(cut.slices.size(), 2u);
  EXPECT_EQ(cut.slices[1], (BatchSlice{4, 6, false}));
  EXPECT_EQ(cut.micro_batch, 6);
}

}  // namespace
}  // namespace batchwise

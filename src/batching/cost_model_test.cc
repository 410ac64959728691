// SPDX-License-Identifier: Apache-2.0
#include "batching/cost_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "batching/cut_batch.h"

namespace batchwise {
namespace {

// The time of a run of some samples, microseconds.
using RunUs = std::function<double(std::int64_t)>;

struct Curve {
  const char* name;
  RunUs run_us;
  bool has_tiles = false;  // one sample more may cost as much as many
};

// Runs as machines have them: a price to start, a price a sample, rows that come in tiles, and a
// cache beyond which a sample costs more.
std::vector<Curve> curves() {
  std::vector<Curve> all;
  for (const double start : {0.0, 0.3, 3.0, 50.0}) {
    all.push_back({"affine", [=](std::int64_t n) { return start + static_cast<double>(n); }});
    all.push_back({"tiles of 16",
                   [=](std::int64_t n) {
                     const std::int64_t padded = (n + 15) / 16 * 16;
                     return start + static_cast<double>(padded);
                   },
                   true});
    all.push_back({"tiles of 14 and a dear rest",
                   [=](std::int64_t n) {
                     const std::int64_t whole = n / 14 * 14;
                     return start + static_cast<double>(whole) +
                            (n % 14 == 0 ? 0 : 4 + 0.8 * static_cast<double>(n % 14));
                   },
                   true});
    for (const std::int64_t cache : {7, 32, 200}) {
      all.push_back({"a cache", [=](std::int64_t n) {
                       const double beyond =
                           static_cast<double>(std::max(n - cache, std::int64_t{0}));
                       return start + static_cast<double>(n) + 0.5 * beyond;
                     }});
    }
  }
  return all;
}

constexpr std::int64_t kMost = 512;

bool fits_any(std::int64_t) { return true; }

double cut_us(const RunUs& run_us, std::int64_t batch, std::int64_t micro_batch) {
  double us = 0;
  for (const BatchSlice& slice : cut_evenly(batch, micro_batch)) us += run_us(slice.count);
  return us;
}

std::int64_t chosen_for(const RunUs& run_us, std::int64_t batch) {
  return choose_micro_batch(run_us, {batch, std::min(batch, kMost)}, fits_any);
}

double chosen_us(const RunUs& run_us, std::int64_t batch) {
  return cut_us(run_us, batch, chosen_for(run_us, batch));
}

// The least cost of every batch, cut into any slices at all of at most kMost samples.
std::vector<double> least_costs(const RunUs& run_us, std::int64_t most_batch) {
  std::vector<double> slice_us, least{0};
  for (std::int64_t n = 0; n <= kMost; ++n) slice_us.push_back(run_us(n));
  for (std::int64_t batch = 1; batch <= most_batch; ++batch) {
    double best = std::numeric_limits<double>::infinity();
    for (std::int64_t last = 1; last <= std::min(batch, kMost); ++last) {
      best = std::min(best, least[static_cast<std::size_t>(batch - last)] +
                                slice_us[static_cast<std::size_t>(last)]);
    }
    least.push_back(best);
  }
  return least;
}

TEST(ChooseMicroBatch, CutsNearTheLeastCostOfAllCuts) {
  for (const Curve& curve : curves()) {
    const std::vector<double> least = least_costs(curve.run_us, 1000);
    for (const std::int64_t batch : {1, 2, 31, 32, 33, 64, 65, 100, 128, 192, 500, 512, 1000}) {
      // Even cuts of halves and quarters: a rest of its own is at times a little cheaper.
      EXPECT_LE(chosen_us(curve.run_us, batch), 1.12 * least[static_cast<std::size_t>(batch)])
          << curve.name << ", batch " << batch;
    }
  }
}

// The law that users see: a larger batch is never much slower a sample than a smaller one. No cut
// can hold it where one sample more opens a new tile or leaves the cache.
TEST(ChooseMicroBatch, ALargerBatchIsNoSlowerASample) {
  for (const double start : {0.0, 0.3, 3.0, 50.0, 1000.0}) {
    for (const double bend : {0.0, 0.3, 0.9}) {
      const RunUs run_us = [=](std::int64_t n) {
        return start + std::pow(static_cast<double>(n), 1 - bend);
      };
      double best = std::numeric_limits<double>::infinity();
      for (std::int64_t batch = 1; batch <= 1000; ++batch) {
        const double us = chosen_us(run_us, batch) / static_cast<double>(batch);
        // Above the largest micro-batch a batch is two runs at first: they are half as long each.
        if (batch <= kMost || batch == 1000) {
          EXPECT_LE(us, 1.05 * best) << "batch " << batch << ", start " << start;
        }
        best = std::min(best, us);
      }
    }
  }
}

// 32 of 33 samples would leave runs of 17 and 16, whose weights are read twice.
TEST(ChooseMicroBatch, LooksAtTheCutAndNotAtTheFullSliceAlone) {
  const RunUs run_us = [](std::int64_t n) { return 20 + static_cast<double>(n); };
  EXPECT_EQ(chosen_for(run_us, 33), 33);
  EXPECT_EQ(chosen_for(run_us, 65), 65);
}

TEST(ChooseMicroBatch, IsASizeThatSomeSliceHas) {
  for (const Curve& curve : curves()) {
    for (std::int64_t batch = 1; batch <= 600; batch += 7) {
      const std::int64_t size = chosen_for(curve.run_us, batch);
      const auto slices = cut_evenly(batch, size);
      EXPECT_TRUE(std::any_of(slices.begin(), slices.end(),
                              [&](const BatchSlice& slice) { return slice.count == size; }))
          << curve.name << ", batch " << batch << ", micro-batch " << size;
    }
  }
}

TEST(ChooseMicroBatch, StaysWithinTheMemoryAndGrowsWithIt) {
  for (const Curve& curve : curves()) {
    for (const std::int64_t batch : {0, 1, 33, 100, 1000}) {
      const InferenceSizes sizes{batch, batch == 0 ? kMost : std::min(batch, kMost)};
      double before = std::numeric_limits<double>::infinity();
      for (std::int64_t room = 0; room <= 600; ++room) {
        const std::int64_t size = choose_micro_batch(
            curve.run_us, sizes, [&](std::int64_t wanted) { return wanted <= room; });
        EXPECT_LE(size, std::min(room, sizes.most));
        EXPECT_EQ(size == 0, room == 0);
        if (size == 0) continue;
        const std::int64_t samples = batch == 0 ? size : batch;
        const double us = cut_us(curve.run_us, samples, size) / static_cast<double>(samples);
        if (curve.has_tiles) continue;  // the best size may lie between those that are tried
        // More memory costs no time, but for what a smaller size may and what lies between two.
        EXPECT_LE(us, 1.06 * before) << curve.name << ", batch " << batch << ", room " << room;
        before = std::min(before, us);
      }
    }
  }
}

TEST(ChooseMicroBatch, CostsNoMoreThanAnyOtherSizeThatFits) {
  for (const Curve& curve : curves()) {
    if (curve.has_tiles) continue;
    for (const std::int64_t batch : {33, 100, 500}) {
      for (const std::int64_t room : {1, 2, 3, 5, 7, 13, 31, 47, 99, 300}) {
        const std::int64_t chosen = choose_micro_batch(
            curve.run_us, {batch, batch}, [&](std::int64_t wanted) { return wanted <= room; });
        const double us = cut_us(curve.run_us, batch, chosen);
        for (std::int64_t other = 1; other <= std::min(room, batch); ++other) {
          EXPECT_LE(us, 1.06 * cut_us(curve.run_us, batch, other))
              << curve.name << ", batch " << batch << ", room " << room << ", not " << other;
        }
      }
    }
  }
}

TEST(ChooseSize, TakesTheSmallestNearTheLeast) {
  EXPECT_EQ(choose_size({}), 0);
  EXPECT_EQ(choose_size({{{4, 2.0}}}), 4);
  EXPECT_EQ(choose_size({{{1, 3.0}, {2, 1.01}, {4, 1.0}, {8, 1.5}}}), 2);
  EXPECT_EQ(choose_size({{{1, 3.0}, {2, 1.03}, {4, 1.0}, {8, 1.0}}}), 4);
  EXPECT_EQ(choose_size({{{8, 1.0}, {2, 1.0}}}), 2);
}

TEST(LargestThatFits, FindsTheEdge) {
  for (std::int64_t edge = 0; edge <= 70; ++edge) {
    for (const std::int64_t most : {1, 2, 33, 64, 1000}) {
      EXPECT_EQ(largest_that_fits(most, [&](std::int64_t size) { return size <= edge; }),
                std::min(edge, most));
    }
  }
}

}  // namespace
}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/reorder.h"

#include <gtest/gtest.h>

#include "backend/cpu/dense_law_test.h"

namespace batchwise::cpu {
namespace {

TEST(Reorder, TransposesEveryMatrixOfABatch) {
  for (int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (std::int64_t batch : {1, 3}) {
      for (std::int64_t rows : {1, 2, 3, 4, 15, 16, 17, 64, 131}) {
        for (std::int64_t columns : {1, 3, 4, 7, 16, 49, 200}) {
          GuardedFloats from(batch * rows * columns), to(batch * rows * columns);
          fill_random(from, 1);
          transpose_matrices(from.data(), batch, rows, columns, to.data(), pool);
          for (std::int64_t b = 0; b < batch; ++b) {
            for (std::int64_t r = 0; r < rows; ++r) {
              for (std::int64_t c = 0; c < columns; ++c) {
                ASSERT_EQ(to[(b * columns + c) * rows + r], from[(b * rows + r) * columns + c])
                    << rows << "x" << columns << " at " << r << "," << c;
              }
            }
          }
          ASSERT_TRUE(to.guards_are_whole());
        }
      }
    }
  }
}

TEST(Reorder, ChannelsFirstUndoesChannelsLast) {
  ThreadPool pool(2);
  GuardedFloats from(2 * 30 * 77), last(2 * 30 * 77), first(2 * 30 * 77);
  fill_random(from, 2);
  to_channels_last(from.data(), 2, 30, 77, last.data(), pool);
  EXPECT_EQ(last[5 * 30 + 7], from[7 * 77 + 5]);
  to_channels_first(last.data(), 2, 30, 77, first.data(), pool);
  for (std::int64_t i = 0; i < from.size(); ++i) ASSERT_EQ(first[i], from[i]);
}

TEST(Reorder, CopiesLargeTensorsWithAllThreads) {
  ThreadPool pool(3);
  GuardedFloats from(100'003), to(100'003);
  fill_random(from, 3);
  copy_floats(from.data(), from.size(), to.data(), pool);
  for (std::int64_t i = 0; i < from.size(); ++i) ASSERT_EQ(to[i], from[i]);
  EXPECT_TRUE(to.guards_are_whole());
}

}  // namespace
}  // namespace batchwise::cpu

// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <vector>

namespace batchwise {
namespace {

TEST(ThreadPool, RunsEachPartOnce) {
  for (int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    std::vector<int> calls(static_cast<std::size_t>(threads), 0);
    for (int round = 0; round < 1000; ++round) {
      pool.run([&](int part) { ++calls[static_cast<std::size_t>(part)]; });
    }
    for (int count : calls) EXPECT_EQ(count, 1000);
  }
}

TEST(ThreadPool, WakesWorkersThatSleep) {
  ThreadPool pool(3);
  std::atomic<int> sum{0};
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    pool.run([&](int part) { sum += part + 1; });
  }
  EXPECT_EQ(sum.load(), 18);
}

TEST(PartRange, CoversEverythingOnceInWholeUnits) {
  for (std::int64_t count : {0, 1, 5, 16, 100}) {
    for (int parts : {1, 2, 3, 7}) {
      for (std::int64_t unit : {1, 4, 6}) {
        std::int64_t next = 0;
        for (int part = 0; part < parts; ++part) {
          const auto [begin, end] = part_range(count, part, parts, unit);
          EXPECT_EQ(begin, next);
          if (end != count) {
            EXPECT_EQ(end % unit, 0);
          }
          next = end;
        }
        EXPECT_EQ(next, count);
      }
    }
  }
}

}  // namespace
}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "base/core_placement.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/thread_pool.h"

namespace batchwise {
namespace {

std::vector<int> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

void go_to(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  ASSERT_EQ(sched_setaffinity(0, sizeof set, &set), 0);
}

// In threads of their own, so that the affinity of the test's thread stays what it was.
void in_thread(const auto& body) { std::thread(body).join(); }

TEST(CorePlacement, ThreadLeavesTheCoreOfTheCaller) {
  const std::vector<int> cores = allowed_cores();
  if (cores.size() < 2) GTEST_SKIP() << "one core";
  CorePlacement placement(2);
  in_thread([&] {
    go_to(cores[0]);
    placement.settle(0);
  });
  in_thread([&] {
    go_to(cores[0]);
    placement.settle(1);
    EXPECT_NE(sched_getcpu(), cores[0]);
  });
  EXPECT_EQ(placement.core(0), cores[0]);
  EXPECT_NE(placement.core(1), cores[0]);
}

TEST(CorePlacement, ThreadFollowsWhenTheCallerComesToItsCore) {
  const std::vector<int> cores = allowed_cores();
  if (cores.size() < 2) GTEST_SKIP() << "one core";
  CorePlacement placement(2);
  for (int core : {cores[0], cores[1], cores[0]}) {
    in_thread([&] {
      go_to(core);
      placement.settle(0);
    });
    in_thread([&] {
      go_to(core);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      placement.settle(1);
      EXPECT_NE(sched_getcpu(), core);
    });
  }
}

TEST(CorePlacement, StaysWhereNoOtherCoreIsAllowed) {
  const int core = allowed_cores().front();
  in_thread([&] {
    go_to(core);
    CorePlacement placement(2);
    placement.settle(0);
    placement.settle(1);
    EXPECT_EQ(placement.core(1), core);
  });
}

TEST(CorePlacement, ThreadsOfAPoolMayUseNoOtherCoresThanItsMaker) {
  const int core = allowed_cores().back();
  in_thread([&] {
    go_to(core);
    ThreadPool pool(3);
    for (int round = 0; round < 10; ++round) {
      pool.run([&](int) { EXPECT_EQ(sched_getcpu(), core); });
    }
  });
}

}  // namespace
}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sched.h>

#include <atomic>
#include <chrono>
#include <vector>

namespace batchwise {

// Keeps the threads of one pool on cores of their own, with no thread bound to one core.
//
// A virtual machine's idle core has halted, Linux takes it for preempted, and a thread is woken on
// the core of the one that wakes it: caller and workers meet on one core, where they stay for tens
// of milliseconds, since both spin. So a thread that finds itself on another one's core leaves it,
// and is kept off the cores where the others were then until it meets one of them again: it follows
// when the kernel moves them.
class CorePlacement {
 public:
  explicit CorePlacement(int threads);

  // To be called by thread `part` of the pool when it begins to work; some nanoseconds unless the
  // thread has to move. Part 0, the caller, only says where it is: the others make room.
  void settle(int part) {
    note(part);
    if (shares_core(part)) leave_shared_core(part);
  }

  // The core that `part` was last seen on, or -1.
  int core(int part) const {
    return cores_[static_cast<std::size_t>(part)].load(std::memory_order_relaxed);
  }

 private:
  void note(int part);
  bool shares_core(int part) const;
  void leave_shared_core(int part);

  // Of the thread that made the pool: what its threads may use.
  cpu_set_t allowed_;
  // Written when a thread has changed its core, so that reading them stays in the cache.
  std::vector<std::atomic<int>> cores_;
  std::vector<std::chrono::steady_clock::time_point> last_moves_;
};

}  // namespace batchwise

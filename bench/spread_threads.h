// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <omp.h>
#include <sched.h>

#include <vector>

namespace batchwise::bench {

// While it lives, the threads of OpenMP run on cores of their own, as with OMP_PROC_BIND, so that
// oneDNN is held against its best: left alone, libgomp's threads meet on one core of a virtual
// machine after each pause. Binding by the environment would bind the threads of all pools that are
// made later to the first core.
class SpreadOmpThreads {
 public:
  explicit SpreadOmpThreads(int threads) {
    CPU_ZERO(&before_);
    sched_getaffinity(0, sizeof before_, &before_);
    std::vector<int> cores;
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &before_)) cores.push_back(core);
    }
#pragma omp parallel num_threads(threads)
    {
      cpu_set_t own;
      CPU_ZERO(&own);
      CPU_SET(cores[static_cast<std::size_t>(omp_get_thread_num()) % cores.size()], &own);
      sched_setaffinity(0, sizeof own, &own);
    }
  }
  // The caller goes where it may; the others wait where they are.
  ~SpreadOmpThreads() { sched_setaffinity(0, sizeof before_, &before_); }
  SpreadOmpThreads(const SpreadOmpThreads&) = delete;
  SpreadOmpThreads& operator=(const SpreadOmpThreads&) = delete;

 private:
  cpu_set_t before_;
};

}  // namespace batchwise::bench

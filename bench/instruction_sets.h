// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "backend/cpu/fma_peak.h"
#include "backend/cpu/isa.h"
#include "base/thread_pool.h"

#if BATCHWISE_HAS_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "spread_threads.h"
#endif

// What the benchmarks of kernels share: rounds over instruction sets and threads, with oneDNN held
// to the same ones.
namespace batchwise::bench {

#if BATCHWISE_HAS_ONEDNN
inline void cap_onednn(cpu::Isa isa) {
  dnnl::set_max_cpu_isa(isa == cpu::Isa::kAvx512 ? dnnl::cpu_isa::all
                        : isa == cpu::Isa::kAvx2 ? dnnl::cpu_isa::avx2
                                                 : dnnl::cpu_isa::sse41);
}
inline void set_onednn_threads(int threads) { omp_set_num_threads(threads); }
#else
inline void cap_onednn(cpu::Isa) {}
inline void set_onednn_threads(int) {}
struct SpreadOmpThreads {
  explicit SpreadOmpThreads(int) {}
};
#endif

// GFLOP/s of all threads together that no kernel exceeds.
inline double measured_peak(ThreadPool& pool) { return cpu::measure_fma_peak_per_us(pool) * 1e-3; }

// Calls run(pool, peak) on 1 and 2 threads, or `threads` if it is not 0.
template <typename Run>
void for_each_thread_count(int threads, const Run& run) {
  for (int count : {1, 2}) {
    if (threads != 0 && threads != count) continue;
    set_onednn_threads(count);
    ThreadPool pool(count);
    const double peak = measured_peak(pool);
    fmt::print("{} with {} threads: measured peak {:.0f} GFLOP/s\n",
               cpu::isa_name(cpu::current_isa()), count, peak);
    const SpreadOmpThreads spread(count);
    run(pool, peak);
  }
}

// Calls run() for each instruction set from AVX2 on that the machine has, or for the one named, in
// a process of its own: oneDNN can be capped once. Returns the exit status.
template <typename Run>
int for_each_isa(const std::string& name, const Run& run) {
  for (cpu::Isa isa : {cpu::Isa::kSse4, cpu::Isa::kAvx2, cpu::Isa::kAvx512}) {
    if (isa > cpu::detect_isa()) continue;
    if (name.empty() ? isa == cpu::Isa::kSse4 : name != cpu::isa_name(isa)) continue;
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      cpu::cap_isa(isa);
      cap_onednn(isa);
      run();
      std::fflush(stdout);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) return 1;
  }
  return 0;
}

}  // namespace batchwise::bench

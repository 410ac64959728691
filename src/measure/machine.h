// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>

namespace batchwise {

// The machine as far as a measurement depends on it. A plain value.
struct Machine {
  std::string cpu_model;       // "AMD EPYC"; "unknown" where the kernel does not say
  int cores = 1;               // that this process may use
  std::int64_t l1d_bytes = 0;  // of one core; 0 where unknown
  std::int64_t l2_bytes = 0;
  std::int64_t l3_bytes = 0;      // shared
  std::int64_t memory_bytes = 0;  // of the whole machine
  std::string isa;                // "avx2 avx512f fma ...": what matters to kernels, sorted
  std::string kernel;             // "Linux 6.1.0"

  // The same string on the same kind of machine with the same cores, whatever else runs: what a
  // profile is kept under. Kernel version and exact memory do not enter.
  std::string key() const;
};

// Reads /proc, /sys and the affinity mask. `root` as in read_memory_limit().
Machine describe_machine(const std::string& root = "");

}  // namespace batchwise

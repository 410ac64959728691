// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>

namespace batchwise {

// What this process holds, as the kernel counts it. A plain value.
struct ProcessMemory {
  std::int64_t rss_bytes = 0;        // VmRSS
  std::int64_t peak_rss_bytes = 0;   // VmHWM, since start or the last reset_peak_rss()
  std::int64_t data_bytes = 0;       // VmData: private writable mappings, what RLIMIT_DATA counts
  std::int64_t anonymous_bytes = 0;  // RssAnon
  std::int64_t virtual_bytes = 0;    // VmSize, what RLIMIT_AS counts
};

// Reads /proc/self/status. Allocates nothing that stays.
ProcessMemory read_process_memory();

// Sets the peak back to what is resident now. False where the kernel does not let us; the peak then
// goes on from the start of the process.
bool reset_peak_rss();

// How much this process may still take, and what binds.
struct MemoryLimit {
  std::int64_t left_bytes = 0;  // beyond what the process holds now
  std::string source;           // "memory cgroup", "RLIMIT_DATA", "RLIMIT_AS" or "machine"
};

// The least of: the limits of this process's memory cgroups (v2 or v1, all levels) less their usage
// that cannot be reclaimed, RLIMIT_DATA and RLIMIT_AS less what they count, MemAvailable. `root` is
// where /proc and /sys are found; tests give a folder of their own.
MemoryLimit read_memory_limit(const std::string& root = "");

// The limit for the whole process: what is left plus what it holds (RSS).
std::int64_t process_memory_limit_bytes();

}  // namespace batchwise

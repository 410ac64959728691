// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>

#include "batchwise/export.h"

namespace batchwise {

// What the process held before a model was loaded, but with code, threads and allocators warm.
struct MemoryBase {
  std::int64_t rss_bytes = 0;   // VmRSS
  std::int64_t data_bytes = 0;  // VmData, what RLIMIT_DATA counts
};

// Runs a tiny model of each kind once (with `training`, a training step too), with as many threads
// and a data loader beside them, reads the base and sets the peak back. Call it before loading.
BATCHWISE_API MemoryBase measure_memory_base(int threads, bool training);

// What a use may take of the machine. A plain value.
struct Resources {
  int threads = 0;                      // 0: the cores that this process may use
  std::int64_t memory_limit_bytes = 0;  // for the whole process; 0: what the system has left
  MemoryBase base;                      // of measure_memory_base(); empty: what is held now
};

// The cores that this process may run on.
BATCHWISE_API int usable_threads();

// "auto", "avx512", "avx2" or "sse4": the widest instruction set that kernels may use from now on.
// Not to be called while a model runs. Throws Error for another name.
BATCHWISE_API void cap_instruction_set(const std::string& name);
// The one in use: "avx512", "avx2" or "sse4".
BATCHWISE_API std::string instruction_set();

// "512MiB", "2GiB", "1.5GB", "4096": bytes. Throws Error naming `where`.
BATCHWISE_API std::int64_t parse_size(const std::string& text, const std::string& where);
// "5ms", "2s", "5min", "1h": seconds. Throws Error naming `where`.
BATCHWISE_API double parse_duration(const std::string& text, const std::string& where);
// "3.1 GiB"
BATCHWISE_API std::string format_size(std::int64_t bytes);
// Writes a file whole or not at all. Throws Error{kEnvironment}.
BATCHWISE_API void write_text_file(const std::string& path, const std::string& text);
// Throws Error{kEnvironment} where write_text_file() could not put a file there; leaves nothing.
BATCHWISE_API void require_writable(const std::string& path);

// "0.1.0"
BATCHWISE_API std::string version();

}  // namespace batchwise

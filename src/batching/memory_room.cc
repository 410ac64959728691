// SPDX-License-Identifier: Apache-2.0
#include "batching/memory_room.h"

#include <algorithm>

#include "base/check.h"
#include "base/thread_pool.h"
#include "measure/process_memory.h"

namespace batchwise {
MemoryRoom memory_room(const Resources& resources) {
  const ProcessMemory now = read_process_memory();
  MemoryRoom room;
  if (resources.memory_limit_bytes > 0) {
    room.limit_bytes = resources.memory_limit_bytes;
    room.base_bytes = resources.base.rss_bytes > 0 ? resources.base.rss_bytes : now.rss_bytes;
  } else {
    // What is left now already leaves out all that the process holds; what it took since the base
    // was measured is in the plan, or is room that the base has kept.
    const MemoryLimit limit = read_memory_limit();
    const MemoryBase& base = resources.base;
    const std::int64_t grown = limit.source == "RLIMIT_DATA" ? now.data_bytes - base.data_bytes
                                                             : now.rss_bytes - base.rss_bytes;
    room.base_bytes = now.rss_bytes;
    if (base.rss_bytes > 0) room.base_bytes -= std::max<std::int64_t>(grown, 0);
    room.limit_bytes = limit.left_bytes + now.rss_bytes;
  }
  return room;
}

void refuse_size(const char* where, const char* what, std::int64_t size, const MemoryParts& needs,
                 const MemoryRoom& room, std::int64_t largest) {
  const std::string fits =
      largest > 0 ? fmt::format("{} is the largest that fits", largest) : std::string("none fits");
  throw Error(
      ErrorCode::kNo,
      fmt::format("[{}] {} {} needs {}, the limit is {}; {}", where, what, size,
                  format_size(needs.total() + room.base_bytes), format_size(room.limit_bytes),
                  fits),
      largest > 0 ? fmt::format("--{} {}", what, largest) : std::string("raise --memory-limit"));
}

int thread_count(const Resources& resources) {
  return resources.threads > 0 ? resources.threads : usable_cores();
}

}  // namespace batchwise

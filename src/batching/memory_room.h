// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "batchwise/memory_parts.h"
#include "batchwise/process.h"

namespace batchwise {

// What the process may take for a plan. A plain value.
struct MemoryRoom {
  std::int64_t limit_bytes = 0;  // for the whole process
  std::int64_t base_bytes = 0;   // taken before the plan

  std::int64_t for_plan() const { return limit_bytes - base_bytes; }
  bool fits(std::int64_t planned_bytes) const { return planned_bytes <= for_plan(); }
};

// Of the limit that the user gave, else of what the system has left.
MemoryRoom memory_room(const Resources& resources);

// Throws Error{kNo}: "<what> <size> needs X, the limit is Y; Z is the largest that fits".
[[noreturn]] void refuse_size(const char* where, const char* what, std::int64_t size,
                              const MemoryParts& needs, const MemoryRoom& room,
                              std::int64_t largest);

// The resources' threads, or the cores that this process may use.
int thread_count(const Resources& resources);

}  // namespace batchwise

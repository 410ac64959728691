// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "batchwise/memory_parts.h"
#include "engine/program.h"

namespace batchwise {

// Of running an inference program whose outputs take `io_bytes` and whose data `data_bytes`. Where
// making the constants takes more than running, that instant is the peak.
inline MemoryParts inference_memory(const ProgramMemory& memory, std::int64_t io_bytes,
                                    std::int64_t data_bytes) {
  MemoryParts parts;
  parts.weights_bytes = memory.dense_constant_bytes;
  parts.packed_weights_bytes = memory.packed_constant_bytes;
  parts.code_bytes = memory.table_bytes;
  if (memory.load_bytes > memory.arena_bytes + io_bytes + data_bytes) {
    parts.weights_bytes += memory.load_bytes;
    return parts;
  }
  parts.scratch_bytes = memory.scratch_at_peak_bytes;
  parts.activation_bytes = memory.arena_bytes - memory.scratch_at_peak_bytes;
  parts.io_bytes = io_bytes;
  parts.data_bytes = data_bytes;
  return parts;
}

}  // namespace batchwise

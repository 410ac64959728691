// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace batchwise {

// The bytes that are live at the peak instant, by what they are for. They add up to the peak.
struct MemoryParts {
  std::int64_t weights_bytes = 0;         // dense parameters and constants; while loading, raw ones
  std::int64_t packed_weights_bytes = 0;  // as kernels want them
  std::int64_t activation_bytes = 0;      // the arena, kernels' scratch left out, gaps included
  std::int64_t gradient_bytes = 0;        // accumulators of parameters, of all lanes
  std::int64_t optimizer_bytes = 0;
  std::int64_t scratch_bytes = 0;
  std::int64_t io_bytes = 0;    // outputs of a micro-batch
  std::int64_t data_bytes = 0;  // what reads the data ahead
  std::int64_t code_bytes = 0;  // graphs, and tables that kernels hold

  std::int64_t total() const {
    return weights_bytes + packed_weights_bytes + activation_bytes + gradient_bytes +
           optimizer_bytes + scratch_bytes + io_bytes + data_bytes + code_bytes;
  }
};

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "base/thread_pool.h"

// Copies of tensors between layouts. Safe to call from several threads, each with its own pool.
namespace batchwise::cpu {

// to[b][column][row] = from[b][row][column].
void transpose_matrices(const float* from, std::int64_t batch, std::int64_t rows,
                        std::int64_t columns, float* to, ThreadPool& pool);

// N x C x positions to N x positions x C, and back.
inline void to_channels_last(const float* from, std::int64_t batch, std::int64_t channels,
                             std::int64_t positions, float* to, ThreadPool& pool) {
  transpose_matrices(from, batch, channels, positions, to, pool);
}
inline void to_channels_first(const float* from, std::int64_t batch, std::int64_t channels,
                              std::int64_t positions, float* to, ThreadPool& pool) {
  transpose_matrices(from, batch, positions, channels, to, pool);
}

void copy_floats(const float* from, std::int64_t count, float* to, ThreadPool& pool);

}  // namespace batchwise::cpu

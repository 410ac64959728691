// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "base/thread_pool.h"

// Pooling over channels-last activations (N,H,W,C), on raw pointers; 1-d has height and kernel_h 1.
//
// Sums run over a window's taps in order, in blocks of 256 taps from zero that are added in order.
// Gradients of windows that overlap are added in the order of the windows. Neither follows the
// batch, the threads or the width of the vectors. Nothing needs scratch; functions are safe to call
// from several threads, each with its own pool.
namespace batchwise::cpu {

struct PoolShape {
  std::int64_t batch = 1, channels = 1;
  std::int64_t in_height = 1, in_width = 1, out_height = 1, out_width = 1;
  std::int64_t kernel_h = 1, kernel_w = 1;
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t dilation_h = 1, dilation_w = 1;
  // With ceil_mode a window may reach beyond the end padding too; those places never count.
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  bool count_include_pad = false;  // of averages: padding counts as zeros
};

// One window over all positions of each channel.
PoolShape global_pool_shape(std::int64_t batch, std::int64_t channels, std::int64_t height,
                            std::int64_t width);

// A NaN in a window is its largest value; a window without input gives -infinity.
void max_pool(const PoolShape& shape, const float* x, float* y, ThreadPool& pool);
// x and y are those of max_pool; a window's gradient goes to the first of its largest values.
void max_pool_gradient(const PoolShape& shape, const float* dy, const float* x, const float* y,
                       float* dx, ThreadPool& pool);

// A window without input gives 0.
void average_pool(const PoolShape& shape, const float* x, float* y, ThreadPool& pool);
void average_pool_gradient(const PoolShape& shape, const float* dy, float* dx, ThreadPool& pool);

}  // namespace batchwise::cpu

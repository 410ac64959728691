// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace batchwise::cpu {

// One window over some channels: its first tap inside the input, and how many rows and columns of
// taps are inside.
struct PoolWindow {
  std::int64_t first;  // floats from the sample's begin
  std::int64_t rows, columns;
  float divisor;  // of averages
};

// Steps between taps and from a window to the next, in floats, and the channels to do.
struct PoolSteps {
  std::int64_t row_step, column_step, x_step, y_step, channels;
};

// Kernels of one instruction set for one window, or for `count` equal ones that follow each other;
// pointers are at the first channel to do.
struct PoolKernels {
  void (*max)(const PoolWindow&, const PoolSteps&, std::int64_t count, const float* x, float* y);
  void (*average)(const PoolWindow&, const PoolSteps&, std::int64_t count, const float* x,
                  float* y);
  // dx = or += where the window's largest value lies, else 0.
  void (*max_gradient)(const PoolWindow&, const PoolSteps&, const float* dy, const float* x,
                       const float* y, float* dx, bool add);
  void (*average_gradient)(const PoolWindow&, const PoolSteps&, const float* dy, float* dx,
                           bool add);
};

const PoolKernels& pool_kernels();

}  // namespace batchwise::cpu

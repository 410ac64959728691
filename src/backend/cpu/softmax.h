// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "base/thread_pool.h"

// Softmax and its like over one axis of [outer, axis, inner]. A row (one outer,
// one inner) is one fixed sequence of operations, whatever its place; where
// inner is 1 its sum runs in 16 lanes, else along the axis. `pool` may be null;
// an output may be the same array as an input.
namespace batchwise::cpu {

struct SoftmaxShape {
  std::int64_t outer = 1;
  std::int64_t axis = 1;
  std::int64_t inner = 1;
};

void softmax(const SoftmaxShape &shape, const float *x, float *y, ThreadPool *pool);
void log_softmax(const SoftmaxShape &shape, const float *x, float *y, ThreadPool *pool);
// dx from dy and the output y.
void softmax_grad(const SoftmaxShape &shape, const float *dy, const float *y, float *dx,
                  ThreadPool *pool);
void log_softmax_grad(const SoftmaxShape &shape, const float *dy, const float *y, float *dx,
                      ThreadPool *pool);

}  // namespace batchwise::cpu

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "base/thread_pool.h"

// Optimizer steps over a flat array, in place, and sums over gradients. `pool` may be null.
namespace batchwise::cpu {

// gradient = multiplier * gradient + weight_decay * parameter;
// velocity = momentum * velocity + gradient; parameter -= rate * (velocity, or with Nesterov
// gradient + momentum * velocity).
struct Sgd {
  float rate = 0.0f;
  float multiplier = 1.0f;
  float momentum = 0.0f;
  float weight_decay = 0.0f;
  bool nesterov = false;
};
// `velocity` may be null where momentum is 0; it starts as zeros.
void sgd_update(const Sgd& sgd, std::int64_t count, const float* gradient, float* parameter,
                float* velocity, ThreadPool* pool);

struct Adam {
  float rate = 0.0f;
  float multiplier = 1.0f;
  double beta1 = 0.9;
  double beta2 = 0.999;
  float epsilon = 1e-8f;
  float weight_decay = 0.0f;
  bool decoupled = false;  // AdamW: decay shrinks the parameter, not through the moments
  std::int64_t step = 1;   // counted from 1
};
// Both moments start as zeros and are corrected for it.
void adam_update(const Adam& adam, std::int64_t count, const float* gradient, float* parameter,
                 float* mean, float* square, ThreadPool* pool);

// The sum of x^2 in double, in an order that depends on `count` alone.
double sum_of_squares(const float* x, std::int64_t count, ThreadPool* pool);

}  // namespace batchwise::cpu

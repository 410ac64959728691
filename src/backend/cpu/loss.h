// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "base/thread_pool.h"

// Losses: one number a sample, and their gradients. `pool` may be null; a
// gradient may be written over the predictions.
namespace batchwise::cpu {

// Softmax cross-entropy of `samples` rows of `classes` logits with integer
// labels.
struct CrossEntropy {
  std::int64_t samples = 0;
  std::int64_t classes = 0;
  const float *logits = nullptr;
  const std::int64_t *labels = nullptr;
  float *loss = nullptr;         // [samples], or null
  float *dlogits = nullptr;      // [samples, classes] = (softmax - onehot) * scale *
                                 // dloss, or null
  const float *dloss = nullptr;  // [samples], or null for 1
  float scale = 1.0f;
};

// Returns the first sample whose label is not in [0, classes), having written
// nothing, or -1.
std::int64_t softmax_cross_entropy(const CrossEntropy &args, ThreadPool *pool);

// Mean squared error over each sample's elements.
struct SquaredError {
  std::int64_t samples = 0;
  std::int64_t elements = 0;  // of one sample
  const float *prediction = nullptr;
  const float *target = nullptr;
  float *loss = nullptr;         // [samples], or null
  float *dprediction = nullptr;  // 2 / elements * (prediction - target) * scale * dloss, or null
  const float *dloss = nullptr;  // [samples], or null for 1
  float scale = 1.0f;
};

void mean_squared_error(const SquaredError &args, ThreadPool *pool);

}  // namespace batchwise::cpu

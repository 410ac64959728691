// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "base/thread_pool.h"

// Layer, batch and local response normalization. `pool` may be null everywhere.
namespace batchwise::cpu {

// Each of `rows` rows of `count` elements alone: y = (x - mean) * inv_std * scale + bias. `bias`,
// `mean` and `inv_std` ([rows]) may be null; y may be x.
struct LayerNorm {
  std::int64_t rows = 0;
  std::int64_t count = 0;
  float epsilon = 1e-5f;
  const float* x = nullptr;
  const float* scale = nullptr;  // [count], or null for 1
  const float* bias = nullptr;   // [count], or null for 0
  float* y = nullptr;
  float* mean = nullptr;
  float* inv_std = nullptr;
};
void layer_norm(const LayerNorm& args, ThreadPool* pool);

// dx from dy and what was saved; dscale_terms = dy * normalized x, which sums to the scale's
// gradient. dx and dscale_terms may be null; neither may be an input, but dx may be dy where
// dscale_terms is null.
struct LayerNormGrad {
  std::int64_t rows = 0;
  std::int64_t count = 0;
  const float* dy = nullptr;
  const float* x = nullptr;
  const float* scale = nullptr;  // [count], or null for 1
  const float* mean = nullptr;
  const float* inv_std = nullptr;
  float* dx = nullptr;
  float* dscale_terms = nullptr;
};
void layer_norm_grad(const LayerNormGrad& args, ThreadPool* pool);

// Batch normalization with given moments is y = x * factor + shift by channel.
void batch_norm_fold(std::int64_t channels, const float* scale, const float* bias,
                     const float* mean, const float* variance, float epsilon, float* factor,
                     float* shift);
// x is [outer, channels, inner]: inner is 1 where channels come last. y may be x.
void scale_shift_channels(std::int64_t outer, std::int64_t channels, std::int64_t inner,
                          const float* factor, const float* shift, const float* x, float* y,
                          ThreadPool* pool);

// Batch normalization of [rows, channels] (a row is a position of a sample, channels last) by the
// moments of groups of `group_rows` rows; the last group takes the remainder. A group's sums run in
// the order of its rows, in blocks of 256.
struct BatchNormGroups {
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  std::int64_t group_rows = 0;  // 0: one group of all rows

  std::int64_t groups() const {
    return group_rows == 0 || rows < group_rows ? 1 : rows / group_rows;
  }
  std::int64_t begin(std::int64_t group) const { return group * group_rows; }
  std::int64_t end(std::int64_t group) const {
    return group + 1 == groups() ? rows : (group + 1) * group_rows;
  }
};

struct BatchNormTraining {
  BatchNormGroups groups;
  float epsilon = 1e-5f;
  const float* x = nullptr;
  const float* scale = nullptr;
  const float* bias = nullptr;
  float* y = nullptr;         // may be x
  float* mean = nullptr;      // [groups, channels]
  float* variance = nullptr;  // [groups, channels], or null
  float* inv_std = nullptr;   // [groups, channels]
};
void batch_norm_training(const BatchNormTraining& args, ThreadPool* pool);

struct BatchNormTrainingGrad {
  BatchNormGroups groups;
  const float* dy = nullptr;
  const float* x = nullptr;
  const float* scale = nullptr;
  const float* mean = nullptr;
  const float* inv_std = nullptr;
  float* dx = nullptr;      // may be dy; may be null
  float* dscale = nullptr;  // [groups, channels]
  float* dbias = nullptr;   // [groups, channels]
};
void batch_norm_training_grad(const BatchNormTrainingGrad& args, ThreadPool* pool);

// running = running * momentum + value * (1 - momentum), group after group; values is
// [groups, channels].
void update_running_moment(std::int64_t groups, std::int64_t channels, float momentum,
                           const float* values, float* running);

// Local response normalization over the channels of [outer, channels, inner]:
// y = x / (bias + alpha / size * sum of squares of `size` neighbours)^beta.
struct Lrn {
  static constexpr std::int64_t kMaxSize = 32;
  std::int64_t outer = 0;
  std::int64_t channels = 0;
  std::int64_t inner = 1;
  std::int64_t size = 5;  // at most kMaxSize
  float alpha = 1e-4f;
  float beta = 0.75f;
  float bias = 1.0f;
};
// y must not be x.
void lrn(const Lrn& lrn, const float* x, float* y, ThreadPool* pool);
// dx must not be an input.
void lrn_grad(const Lrn& lrn, const float* dy, const float* x, const float* y, float* dx,
              ThreadPool* pool);

}  // namespace batchwise::cpu

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <cstdint>

#include "backend/cpu/normalization.h"

namespace batchwise::cpu {

constexpr std::int64_t kChannelChunk = 64;
constexpr std::int64_t kRowBlock = 256;
constexpr std::int64_t kRowPiece = 16;

struct ColumnSpread {
  float variance, inv_std;
};
// From a sum of squared distances. In double, rounded once: an error here is one of all of a
// channel's values, and does not average out behind it.
inline ColumnSpread spread_of(float square_sum, double rows, float epsilon) {
  const double variance = static_cast<double>(square_sum) / rows;
  return {static_cast<float>(variance),
          static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(epsilon)))};
}

// Batch normalization of one group with few channels, on several threads: the sums of its blocks of
// rows are taken in parallel, into the output that is not written yet, and added in order. The bits
// are those of the other way. False, with nothing done, where that is not worth it or not possible.
bool batch_norm_by_blocks(const BatchNormTraining& args, ThreadPool* pool);
bool batch_norm_grad_by_blocks(const BatchNormTrainingGrad& args, ThreadPool* pool);

}  // namespace batchwise::cpu

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "backend/cpu/normalization.h"

namespace batchwise::cpu {

constexpr std::int64_t kChannelChunk = 64;
constexpr std::int64_t kRowBlock = 256;

// Batch normalization of one group with few channels, on several threads: the sums of its blocks of
// rows are taken in parallel, into the output that is not written yet, and added in order. The bits
// are those of the other way. False, with nothing done, where that is not worth it or not possible.
bool batch_norm_by_blocks(const BatchNormTraining& args, ThreadPool* pool);
bool batch_norm_grad_by_blocks(const BatchNormTrainingGrad& args, ThreadPool* pool);

}  // namespace batchwise::cpu

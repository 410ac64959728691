// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "backend/cpu/conv_kernels.h"
#include "backend/cpu/conv_shape.h"
#include "base/thread_pool.h"

namespace batchwise::cpu {

// The weight gradient of a depthwise convolution, by the law of conv_gradient.h; dw is
// [kh][kw][channel].
std::int64_t depthwise_gradient_scratch_floats(const ConvShape& shape);  // of one thread
void run_depthwise_gradient(const ConvShape& shape, const ConvKernels& kernels, const float* x,
                            const float* dy, float* dw, bool accumulate, ThreadPool& pool,
                            float* scratch);

}  // namespace batchwise::cpu

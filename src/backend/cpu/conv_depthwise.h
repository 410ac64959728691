// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "backend/cpu/conv.h"

namespace batchwise::cpu {

// run_conv of a depthwise pass; vectors run over channels.
std::int64_t depthwise_scratch_bytes(const ConvPass& pass);  // of one thread
void run_depthwise(const ConvPass& pass, const float* x, const float* packed, float* y,
                   const Epilogue& epilogue, ThreadPool& pool, void* scratch);

}  // namespace batchwise::cpu

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "base/thread_pool.h"

namespace batchwise::cpu {

// Floating-point operations a microsecond of the pool's threads together, in independent chains of
// multiply-adds that touch no memory: what no kernel exceeds. Takes about 20 ms.
double measure_fma_peak_per_us(ThreadPool& pool);

}  // namespace batchwise::cpu

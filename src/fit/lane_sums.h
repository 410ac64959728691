// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"

namespace batchwise {

// gradients[i] = left[i] + gradients[i] over `bytes` of float32.
void add_lane(const std::byte* left, std::byte* gradients, std::int64_t bytes, ThreadPool& pool);

// The sum of squares of `bytes` of float32, in double, in one order.
double squared_norm(const std::byte* gradients, std::int64_t bytes);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "base/thread_pool.h"

namespace batchwise::cpu {

// Dropout of [samples, per_sample]: an element is 0 where DropoutMask (tensor/counter_random.h)
// drops it, else x * scale. The gradient is the same call on dy: the mask is drawn again.
struct Dropout {
  std::int64_t samples = 0;
  std::int64_t per_sample = 0;
  double ratio = 0.5;  // in [0, 1)
  std::uint64_t seed = 0;
  std::int64_t step = 0;
  std::int64_t stream = 0;        // of the layer
  std::int64_t first_sample = 0;  // its place in the batch
};
// y may be x; `pool` may be null.
void dropout(const Dropout& dropout, const float* x, float* y, ThreadPool* pool);

}  // namespace batchwise::cpu

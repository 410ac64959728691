// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "base/thread_pool.h"

namespace batchwise::cpu {

// Below so many elements, handing work to other threads costs more than it gives.
constexpr std::int64_t kLeastParallelElements = 16 * 1024;
// Elementwise ranges begin at whole cache lines, or nearly.
constexpr std::int64_t kRangeUnit = 64;

// Calls body(begin, end) on ranges that make up [0, count), on the pool's threads where the work
// (count * elements_each) is worth it. Ranges begin at multiples of `unit`. Only for work whose
// results do not follow the cuts.
template <class Body>
void for_each_range(ThreadPool* pool, std::int64_t count, std::int64_t elements_each,
                    std::int64_t unit, const Body& body) {
  if (count <= 0) return;
  if (pool == nullptr || pool->threads() == 1 || count <= unit ||
      count * elements_each < kLeastParallelElements) {
    body(std::int64_t{0}, count);
    return;
  }
  const int parts = pool->threads();
  pool->run([&](int part) {
    const PartRange range = part_range(count, part, parts, unit);
    if (range.begin < range.end) body(range.begin, range.end);
  });
}

}  // namespace batchwise::cpu

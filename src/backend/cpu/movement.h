// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "batchwise/dtype.h"

// Kernels that move elements and compute nothing. `pool` may be null; outputs do not overlap
// inputs.
namespace batchwise::cpu {

// Element (i0, i1, ...) at `from_first` + sum of i * from_strides goes to `to_first` + sum of
// i * to_strides, all in elements: transpose, slice with any step, expand (stride 0), or their
// reverse. A value, made once; axes are as few as will do, outermost first.
struct StridedCopy {
  static constexpr int kMaxRank = 8;
  int rank = 0;
  std::int64_t count = 1;
  std::int64_t from_first = 0;
  std::int64_t to_first = 0;
  std::array<std::int64_t, kMaxRank> sizes{};
  std::array<std::int64_t, kMaxRank> from_strides{};
  std::array<std::int64_t, kMaxRank> to_strides{};
};

StridedCopy plan_strided_copy(std::span<const std::int64_t> sizes,
                              std::span<const std::int64_t> from_strides,
                              std::span<const std::int64_t> to_strides);
// Output axis k is input axis permutation[k].
StridedCopy plan_transpose(std::span<const std::int64_t> shape, std::span<const int> permutation);
// Along each axis of `shape`, elements starts[k] + i * steps[k] for i in [0, counts[k]).
StridedCopy plan_slice(std::span<const std::int64_t> shape, std::span<const std::int64_t> starts,
                       std::span<const std::int64_t> steps, std::span<const std::int64_t> counts);
// The other way: a slice goes to its places in a whole (whose other elements stay as they are).
StridedCopy plan_unslice(std::span<const std::int64_t> shape, std::span<const std::int64_t> starts,
                         std::span<const std::int64_t> steps, std::span<const std::int64_t> counts);

// `element_bytes` is 1, 2, 4 or 8.
void strided_copy(const StridedCopy& plan, int element_bytes, const void* from, void* to,
                  ThreadPool* pool);

// Copies `rows` blocks of `block_bytes` whose beginnings lie these distances apart: concat, split.
void copy_blocks(std::int64_t rows, std::int64_t block_bytes, const void* from,
                 std::int64_t from_stride_bytes, void* to, std::int64_t to_stride_bytes,
                 ThreadPool* pool);

// [outer, entries, entry_bytes] to [outer, num_indices, entry_bytes]. A negative index counts from
// the end. Returns the first place in `indices` that is out of range, having written nothing, or
// -1.
struct Gather {
  std::int64_t outer = 1;
  std::int64_t entries = 0;
  std::int64_t num_indices = 0;
};
std::int64_t gather(const Gather& gather, std::int64_t entry_bytes, const std::int64_t* indices,
                    const void* from, void* to, ThreadPool* pool);
std::int64_t gather(const Gather& gather, std::int64_t entry_bytes, const std::int32_t* indices,
                    const void* from, void* to, ThreadPool* pool);
// Adds dy's rows to dx[outer, entries, inner] in the order of the indices; dx starts as zeros, or,
// with `continues`, as it is. Returns as gather does.
std::int64_t gather_grad(const Gather& gather, std::int64_t inner, const std::int64_t* indices,
                         const float* dy, bool continues, float* dx, ThreadPool* pool);
std::int64_t gather_grad(const Gather& gather, std::int64_t inner, const std::int32_t* indices,
                         const float* dy, bool continues, float* dx, ThreadPool* pool);

// Converts between float32, float64, int64, int32, uint8 and bool. A float that an integer type
// cannot hold becomes the nearest it can, an integer wraps; NaN becomes 0; bool is x != 0.
bool can_cast(DType from, DType to);
void cast(DType from_type, const void* from, DType to_type, void* to, std::int64_t count,
          ThreadPool* pool);

}  // namespace batchwise::cpu

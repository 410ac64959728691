// SPDX-License-Identifier: Apache-2.0
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "backend/cpu/movement.h"
#include "backend/cpu/parallel_range.h"
#include "base/check.h"

namespace batchwise::cpu {
namespace {

constexpr std::int64_t kTile = 16;

std::vector<std::int64_t> strides_of(std::span<const std::int64_t> shape) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t k = shape.size(); k-- > 0;) {
    strides[k] = stride;
    stride *= shape[k];
  }
  return strides;
}

// The two axes of a copy that a kernel walks itself; the others are walked around it.
struct CopyAxes {
  std::size_t inner = 0;
  std::size_t tiled = 0;  // where the source is in a row; == inner where that is the innermost
};

CopyAxes choose_axes(const StridedCopy& plan) {
  CopyAxes axes;
  axes.inner = axes.tiled = static_cast<std::size_t>(plan.rank - 1);
  if (plan.from_strides[axes.inner] == 1 || plan.to_strides[axes.inner] != 1) return axes;
  for (std::size_t k = 0; k < axes.inner; ++k) {
    if (plan.from_strides[k] == 1) axes.tiled = k;
  }
  return axes;
}

template <class T>
void copy_run(std::int64_t count, const T* from, std::int64_t from_stride, T* to,
              std::int64_t to_stride) {
  if (from_stride == 1 && to_stride == 1) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
  } else if (to_stride == 1) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = from[i * from_stride];
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i * to_stride] = from[i * from_stride];
  }
}

// to[r * to_stride + c] = from[c * from_stride + r] for 4 rows and 4 columns, in registers.
#if HWY_TARGET != HWY_SCALAR
constexpr bool kHasQuads = true;
void transpose_quad(const std::uint32_t* from, std::int64_t from_stride, std::uint32_t* to,
                    std::int64_t to_stride) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::FixedTag<std::uint32_t, 4> d;
  const hn::FixedTag<std::uint64_t, 2> dd;
  const auto a = hn::LoadU(d, from), b = hn::LoadU(d, from + from_stride);
  const auto c = hn::LoadU(d, from + 2 * from_stride), e = hn::LoadU(d, from + 3 * from_stride);
  const auto ab_low = hn::BitCast(dd, hn::InterleaveLower(d, a, b));
  const auto ab_high = hn::BitCast(dd, hn::InterleaveUpper(d, a, b));
  const auto ce_low = hn::BitCast(dd, hn::InterleaveLower(d, c, e));
  const auto ce_high = hn::BitCast(dd, hn::InterleaveUpper(d, c, e));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(dd, ab_low, ce_low)), d, to);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(dd, ab_low, ce_low)), d, to + to_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(dd, ab_high, ce_high)), d, to + 2 * to_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(dd, ab_high, ce_high)), d, to + 3 * to_stride);
}
#else
constexpr bool kHasQuads = false;
void transpose_quad(const std::uint32_t*, std::int64_t, std::uint32_t*, std::int64_t) {}
#endif

// The same for any number of rows and columns, a tile at a time so that both sides stay in the
// nearest cache.
template <class T>
void transpose_tiles(std::int64_t rows, std::int64_t columns, const T* from,
                     std::int64_t from_stride, T* to, std::int64_t to_stride) {
  for (std::int64_t c0 = 0; c0 < columns; c0 += kTile) {
    const std::int64_t c1 = std::min(c0 + kTile, columns);
    std::int64_t r = 0;
    if constexpr (kHasQuads && std::is_same_v<T, std::uint32_t>) {
      for (; r + 4 <= rows; r += 4) {
        std::int64_t c = c0;
        for (; c + 4 <= c1; c += 4) {
          transpose_quad(from + c * from_stride + r, from_stride, to + r * to_stride + c,
                         to_stride);
        }
        for (; c < c1; ++c) {
          for (std::int64_t k = r; k < r + 4; ++k) {
            to[k * to_stride + c] = from[c * from_stride + k];
          }
        }
      }
    }
    for (; r < rows; ++r) {
      for (std::int64_t c = c0; c < c1; ++c) to[r * to_stride + c] = from[c * from_stride + r];
    }
  }
}

struct Offsets {
  std::int64_t from, to;
};

// Where item `item` of the walk around the kernel's axes lies; the tiled axis goes in blocks.
Offsets place_of(const StridedCopy& plan, const CopyAxes& axes, std::int64_t item) {
  Offsets place{plan.from_first, plan.to_first};
  for (std::size_t k = static_cast<std::size_t>(plan.rank); k-- > 0;) {
    if (k == axes.inner || k == axes.tiled) continue;
    const std::int64_t i = item % plan.sizes[k];
    item /= plan.sizes[k];
    place.from += i * plan.from_strides[k];
    place.to += i * plan.to_strides[k];
  }
  return place;
}

template <class T>
void run_copy(const StridedCopy& plan, const T* from, T* to, ThreadPool* pool) {
  const CopyAxes axes = choose_axes(plan);
  const std::size_t inner = axes.inner, tiled = axes.tiled;
  const std::int64_t columns = plan.sizes[inner];
  const bool is_tiled = tiled != inner;
  const std::int64_t rows = is_tiled ? plan.sizes[tiled] : 1;
  const std::int64_t blocks = is_tiled ? (rows + kTile - 1) / kTile : 1;
  const std::int64_t items = plan.count / (rows * columns) * blocks;
  for_each_range(
      pool, items, columns * std::min(rows, kTile), 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t item = begin; item < end; ++item) {
          const Offsets place = place_of(plan, axes, item / blocks);
          const T* source = from + place.from;
          T* target = to + place.to;
          if (!is_tiled) {
            copy_run(columns, source, plan.from_strides[inner], target, plan.to_strides[inner]);
            continue;
          }
          const std::int64_t first = item % blocks * kTile;
          const std::int64_t stride = plan.to_strides[tiled];
          transpose_tiles(std::min(kTile, rows - first), columns, source + first,
                          plan.from_strides[inner], target + first * stride, stride);
        }
      });
}

StridedCopy plan_slice_either(std::span<const std::int64_t> shape,
                              std::span<const std::int64_t> starts,
                              std::span<const std::int64_t> steps,
                              std::span<const std::int64_t> counts, bool to_whole) {
  std::vector<std::int64_t> whole = strides_of(shape);
  const std::vector<std::int64_t> part = strides_of(counts);
  std::int64_t first = 0;
  for (std::size_t k = 0; k < shape.size(); ++k) {
    first += starts[k] * whole[k];
    whole[k] *= steps[k];
  }
  StridedCopy plan =
      to_whole ? plan_strided_copy(counts, part, whole) : plan_strided_copy(counts, whole, part);
  (to_whole ? plan.to_first : plan.from_first) = first;
  return plan;
}

}  // namespace

StridedCopy plan_strided_copy(std::span<const std::int64_t> sizes,
                              std::span<const std::int64_t> from_strides,
                              std::span<const std::int64_t> to_strides) {
  StridedCopy plan;
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    plan.count *= sizes[k];
    if (sizes[k] == 1) continue;
    auto axis = static_cast<std::size_t>(plan.rank);
    if (axis > 0 && plan.from_strides[axis - 1] == from_strides[k] * sizes[k] &&
        plan.to_strides[axis - 1] == to_strides[k] * sizes[k]) {
      --axis;
      plan.sizes[axis] *= sizes[k];
    } else {
      BW_CHECK(plan.rank < StridedCopy::kMaxRank, "more than {} axes", StridedCopy::kMaxRank);
      ++plan.rank;
      plan.sizes[axis] = sizes[k];
    }
    plan.from_strides[axis] = from_strides[k];
    plan.to_strides[axis] = to_strides[k];
  }
  if (plan.rank == 0) {
    plan.rank = 1;
    plan.sizes[0] = plan.from_strides[0] = plan.to_strides[0] = 1;
  }
  return plan;
}

StridedCopy plan_transpose(std::span<const std::int64_t> shape, std::span<const int> permutation) {
  const std::vector<std::int64_t> own = strides_of(shape);
  std::vector<std::int64_t> sizes(shape.size()), from(shape.size());
  for (std::size_t k = 0; k < shape.size(); ++k) {
    const auto axis = static_cast<std::size_t>(permutation[k]);
    sizes[k] = shape[axis];
    from[k] = own[axis];
  }
  return plan_strided_copy(sizes, from, strides_of(sizes));
}

StridedCopy plan_slice(std::span<const std::int64_t> shape, std::span<const std::int64_t> starts,
                       std::span<const std::int64_t> steps, std::span<const std::int64_t> counts) {
  return plan_slice_either(shape, starts, steps, counts, false);
}

StridedCopy plan_unslice(std::span<const std::int64_t> shape, std::span<const std::int64_t> starts,
                         std::span<const std::int64_t> steps,
                         std::span<const std::int64_t> counts) {
  return plan_slice_either(shape, starts, steps, counts, true);
}

void strided_copy(const StridedCopy& plan, int element_bytes, const void* from, void* to,
                  ThreadPool* pool) {
  if (plan.count == 0) return;
  const auto copy = [&](auto zero) {
    using T = decltype(zero);
    run_copy(plan, static_cast<const T*>(from), static_cast<T*>(to), pool);
  };
  switch (element_bytes) {
    case 1:
      return copy(std::uint8_t{0});
    case 2:
      return copy(std::uint16_t{0});
    case 4:
      return copy(std::uint32_t{0});
    case 8:
      return copy(std::uint64_t{0});
    default:
      BW_CHECK(false, "elements of {} bytes", element_bytes);
  }
}

}  // namespace batchwise::cpu

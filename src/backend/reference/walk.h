// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>

#include "base/check.h"
#include "tensor/shape.h"

namespace batchwise::reference {

inline constexpr int kMaxRank = 8;
using Strides = std::array<std::int64_t, kMaxRank>;

// Row-major strides of a shape, as far as its rank goes.
inline Strides strides_of(const Shape& shape) {
  BW_CHECK(shape.rank() <= kMaxRank, "rank {} of {}", shape.rank(), shape.to_string());
  Strides strides{};
  std::int64_t stride = 1;
  for (int axis = shape.rank(); axis-- > 0;) {
    strides[static_cast<std::size_t>(axis)] = stride;
    stride *= shape[axis];
  }
  return strides;
}

// The strides with which a tensor of shape `from` is read at the places of `to`, to which it
// broadcasts: 0 along the axes on which it repeats itself.
inline Strides broadcast_strides(const Shape& from, const Shape& to) {
  const Strides own = strides_of(from);
  Strides strides{};
  for (int axis = 0; axis < from.rank(); ++axis) {
    const int target = axis + to.rank() - from.rank();
    if (from[axis] != 1)
      strides[static_cast<std::size_t>(target)] = own[static_cast<std::size_t>(axis)];
  }
  return strides;
}

// Visits the elements of `shape` in row-major order: f(i, offsets), where offsets[k] is the place
// of element i under strides[k].
template <std::size_t kCount, typename F>
void walk(const Shape& shape, const std::array<Strides, kCount>& strides, F&& f) {
  BW_CHECK(shape.rank() <= kMaxRank, "rank {} of {}", shape.rank(), shape.to_string());
  const std::int64_t elements = shape.elements();
  std::array<std::int64_t, kMaxRank> position{};
  std::array<std::int64_t, kCount> offsets{};
  for (std::int64_t i = 0; i < elements; ++i) {
    f(i, offsets);
    for (int axis = shape.rank(); axis-- > 0;) {
      const auto a = static_cast<std::size_t>(axis);
      const bool carries = ++position[a] == shape[axis];
      const std::int64_t steps = carries ? 1 - shape[axis] : 1;
      for (std::size_t k = 0; k < kCount; ++k) offsets[k] += steps * strides[k][a];
      if (!carries) break;
      position[a] = 0;
    }
  }
}

}  // namespace batchwise::reference

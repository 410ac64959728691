// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>

#include "backend/cpu/reduction.h"

namespace batchwise::cpu {

// A place on a walk: its offset, and how to get to the next.
class WalkPlace {
 public:
  explicit WalkPlace(const AxisWalk& walk, std::int64_t at = 0) : walk_(walk) {
    for (int k = walk.rank - 1; k >= 0; --k) {
      const auto axis = static_cast<std::size_t>(k);
      index_[axis] = at % walk.sizes[axis];
      at /= walk.sizes[axis];
      offset_ += index_[axis] * walk.strides[axis];
    }
  }

  std::int64_t offset() const { return offset_; }

  void next() {
    for (int k = walk_.rank - 1; k >= 0; --k) {
      const auto axis = static_cast<std::size_t>(k);
      offset_ += walk_.strides[axis];
      if (++index_[axis] < walk_.sizes[axis]) return;
      offset_ -= walk_.sizes[axis] * walk_.strides[axis];
      index_[axis] = 0;
    }
  }

 private:
  const AxisWalk& walk_;
  std::array<std::int64_t, AxisWalk::kMaxRank> index_{};
  std::int64_t offset_ = 0;
};

}  // namespace batchwise::cpu

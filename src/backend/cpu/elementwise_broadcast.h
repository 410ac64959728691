// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

#include "backend/cpu/elementwise.h"

namespace batchwise::cpu {

// Walks the output of a broadcast in order, run by run: a run lies on the innermost axis, where
// each operand moves by its inner stride (0 or 1).
class BroadcastCursor {
 public:
  BroadcastCursor(const BroadcastPlan& plan, std::int64_t begin) : plan_(plan) {
    for (int axis = plan.rank - 1; axis >= 0; --axis) {
      const auto k = static_cast<std::size_t>(axis);
      index_[k] = begin % plan.sizes[k];
      begin /= plan.sizes[k];
      for (std::size_t n = 0; n < offsets_.size(); ++n) {
        offsets_[n] += index_[k] * plan.strides[n][k];
      }
    }
  }

  std::int64_t run_length() const { return plan_.sizes[inner()] - index_[inner()]; }
  std::int64_t offset(std::size_t operand) const { return offsets_[operand]; }
  std::int64_t inner_stride(std::size_t operand) const { return plan_.strides[operand][inner()]; }

  // Requires: count <= run_length().
  void advance(std::int64_t count) {
    std::size_t axis = inner();
    move(axis, count);
    while (index_[axis] == plan_.sizes[axis] && axis > 0) {
      move(axis, -plan_.sizes[axis]);
      --axis;
      move(axis, 1);
    }
  }

 private:
  std::size_t inner() const { return static_cast<std::size_t>(plan_.rank - 1); }
  void move(std::size_t axis, std::int64_t count) {
    index_[axis] += count;
    for (std::size_t n = 0; n < offsets_.size(); ++n) {
      offsets_[n] += count * plan_.strides[n][axis];
    }
  }

  const BroadcastPlan& plan_;
  std::array<std::int64_t, BroadcastPlan::kMaxRank> index_{};
  std::array<std::int64_t, BroadcastPlan::kMaxOperands> offsets_{};
};

// Calls run(at, count, operands, repeats) over output elements [begin, end) of a broadcast of two:
// count elements from `at`, whose operands lie in a row or repeat one element. Where the innermost
// axis is short, runs are gathered into blocks first.
template <class T, class Run>
void for_each_broadcast_run(const BroadcastPlan& plan, std::int64_t begin, std::int64_t end,
                            std::array<const T*, 2> operands, const Run& run) {
  constexpr std::int64_t kShortRun = 48;
  constexpr std::int64_t kBlock = 512;
  BroadcastCursor cursor(plan, begin);
  if (plan.sizes[static_cast<std::size_t>(plan.rank - 1)] >= kShortRun || plan.rank == 1) {
    const std::array<bool, 2> repeats = {cursor.inner_stride(0) == 0, cursor.inner_stride(1) == 0};
    for (std::int64_t at = begin; at < end;) {
      const std::int64_t count = std::min(end - at, cursor.run_length());
      run(at, count,
          std::array<const T*, 2>{operands[0] + cursor.offset(0), operands[1] + cursor.offset(1)},
          repeats);
      cursor.advance(count);
      at += count;
    }
    return;
  }
  std::array<std::array<T, kBlock>, 2> block;
  for (std::int64_t at = begin; at < end;) {
    const std::int64_t size = std::min(end - at, kBlock);
    for (std::int64_t filled = 0; filled < size;) {
      const std::int64_t count = std::min(size - filled, cursor.run_length());
      for (std::size_t n = 0; n < 2; ++n) {
        const T* from = operands[n] + cursor.offset(n);
        const std::int64_t step = cursor.inner_stride(n);
        T* to = block[n].data() + filled;
        for (std::int64_t i = 0; i < count; ++i) to[i] = from[i * step];
      }
      cursor.advance(count);
      filled += count;
    }
    run(at, size, std::array<const T*, 2>{block[0].data(), block[1].data()},
        std::array<bool, 2>{false, false});
    at += size;
  }
}

}  // namespace batchwise::cpu

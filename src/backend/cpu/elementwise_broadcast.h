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

// Whether the operand has the shape of the output, so that its elements lie as the output's do.
inline bool is_full_operand(const BroadcastPlan& plan, std::size_t operand) {
  std::int64_t stride = 1;
  for (int k = plan.rank - 1; k >= 0; --k) {
    const auto axis = static_cast<std::size_t>(k);
    if (plan.strides[operand][axis] != stride) return false;
    stride *= plan.sizes[axis];
  }
  return true;
}

// Where the innermost axis is at least so long, runs along it are handed on as they are.
constexpr std::int64_t kLeastBroadcastRun = 48;
constexpr std::int64_t kBroadcastBlock = 512;

// for_each_broadcast_run() where the innermost axis is short: an operand that is repeated is
// gathered into blocks first.
template <class T, class Run>
void for_each_gathered_block(const BroadcastPlan& plan, std::int64_t begin, std::int64_t end,
                             std::array<const T*, 2> operands, const Run& run) {
  const std::int64_t period = plan.sizes[static_cast<std::size_t>(plan.rank - 1)];
  const std::int64_t block_size = kBroadcastBlock / period * period;
  std::array<std::array<T, kBroadcastBlock>, 2> block;
  std::array<bool, 2> is_full{}, is_same{};  // is_same: every block of it is like the first
  for (std::size_t n = 0; n < 2; ++n) {
    is_full[n] = is_full_operand(plan, n);
    is_same[n] = is_full[n] || (plan.rank == 2 && plan.strides[n][0] == 0);
  }
  BroadcastCursor cursor(plan, begin);
  for (std::int64_t at = begin; at < end; at += block_size) {
    const std::int64_t size = std::min(end - at, block_size);
    const std::array<bool, 2> gathers = {!is_full[0] && (at == begin || !is_same[0]),
                                         !is_full[1] && (at == begin || !is_same[1])};
    for (std::int64_t filled = 0; filled < size && (gathers[0] || gathers[1]);) {
      const std::int64_t count = std::min(size - filled, cursor.run_length());
      for (std::size_t n = 0; n < 2; ++n) {
        if (!gathers[n]) continue;
        const T* from = operands[n] + cursor.offset(n);
        const std::int64_t step = cursor.inner_stride(n);
        T* to = block[n].data() + filled;
        for (std::int64_t i = 0; i < count; ++i) to[i] = from[i * step];
      }
      cursor.advance(count);
      filled += count;
    }
    run(at, size,
        std::array<const T*, 2>{is_full[0] ? operands[0] + at : block[0].data(),
                                is_full[1] ? operands[1] + at : block[1].data()},
        std::array<bool, 2>{false, false});
  }
}

// Calls run(at, count, operands, repeats) over output elements [begin, end) of a broadcast of two:
// count elements from `at`, whose operands lie in a row or repeat one element.
template <class T, class Run>
void for_each_broadcast_run(const BroadcastPlan& plan, std::int64_t begin, std::int64_t end,
                            std::array<const T*, 2> operands, const Run& run) {
  if (plan.rank > 1 && plan.sizes[static_cast<std::size_t>(plan.rank - 1)] < kLeastBroadcastRun) {
    return for_each_gathered_block(plan, begin, end, operands, run);
  }
  BroadcastCursor cursor(plan, begin);
  const std::array<bool, 2> repeats = {cursor.inner_stride(0) == 0, cursor.inner_stride(1) == 0};
  for (std::int64_t at = begin; at < end;) {
    const std::int64_t count = std::min(end - at, cursor.run_length());
    run(at, count,
        std::array<const T*, 2>{operands[0] + cursor.offset(0), operands[1] + cursor.offset(1)},
        repeats);
    cursor.advance(count);
    at += count;
  }
}

}  // namespace batchwise::cpu

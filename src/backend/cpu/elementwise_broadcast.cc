// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/elementwise_broadcast.h"

#include "base/check.h"

namespace batchwise::cpu {
namespace {

constexpr int kMaxShapeRank = 32;

// Whether axis `inner` continues axis `outer` for every operand, so that they can be one axis.
bool can_merge(const BroadcastPlan& plan, std::size_t outer, std::int64_t inner_size,
               const std::array<std::int64_t, BroadcastPlan::kMaxOperands>& inner_strides) {
  for (std::size_t n = 0; n < static_cast<std::size_t>(plan.operands); ++n) {
    if (plan.strides[n][outer] != inner_strides[n] * inner_size) return false;
  }
  return true;
}

void append_axis(BroadcastPlan& plan, std::int64_t size,
                 const std::array<std::int64_t, BroadcastPlan::kMaxOperands>& strides) {
  if (size == 1) return;
  auto axis = static_cast<std::size_t>(plan.rank);
  if (plan.rank > 0 && can_merge(plan, axis - 1, size, strides)) {
    --axis;
    plan.sizes[axis] *= size;
  } else {
    BW_CHECK(plan.rank < BroadcastPlan::kMaxRank, "more than {} axes", BroadcastPlan::kMaxRank);
    ++plan.rank;
    plan.sizes[axis] = size;
  }
  for (std::size_t n = 0; n < strides.size(); ++n) plan.strides[n][axis] = strides[n];
}

}  // namespace

BroadcastPlan plan_broadcast(std::span<const std::span<const std::int64_t>> shapes) {
  BW_CHECK(!shapes.empty() && shapes.size() <= BroadcastPlan::kMaxOperands);
  BroadcastPlan plan;
  plan.operands = static_cast<int>(shapes.size());
  plan.count = 1;
  std::size_t rank = 0;
  for (const auto& shape : shapes) rank = std::max(rank, shape.size());
  BW_CHECK(rank <= kMaxShapeRank, "rank {}", rank);
  // Strides of each operand on the output's axes, from the innermost.
  std::array<std::array<std::int64_t, BroadcastPlan::kMaxOperands>, kMaxShapeRank> strides{};
  std::array<std::int64_t, kMaxShapeRank> sizes{};
  std::array<std::int64_t, BroadcastPlan::kMaxOperands> next{1, 1, 1};
  for (std::size_t k = 0; k < rank; ++k) {
    sizes[k] = 1;
    for (const auto& shape : shapes) {
      const std::int64_t size = k < shape.size() ? shape[shape.size() - 1 - k] : 1;
      if (size == 1) continue;
      BW_CHECK(sizes[k] == 1 || sizes[k] == size, "{} and {} do not broadcast", sizes[k], size);
      sizes[k] = size;
    }
    for (std::size_t n = 0; n < shapes.size(); ++n) {
      const auto& shape = shapes[n];
      const std::int64_t size = k < shape.size() ? shape[shape.size() - 1 - k] : 1;
      strides[k][n] = size == 1 ? 0 : next[n];
      next[n] *= size;
    }
    plan.count *= sizes[k];
  }
  for (std::size_t k = rank; k-- > 0;) append_axis(plan, sizes[k], strides[k]);
  if (plan.rank == 0) {
    plan.rank = 1;
    plan.sizes[0] = 1;
  }
  return plan;
}

BroadcastPlan plan_broadcast(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  const std::array<std::span<const std::int64_t>, 2> shapes = {a, b};
  return plan_broadcast(shapes);
}

}  // namespace batchwise::cpu

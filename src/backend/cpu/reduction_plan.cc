// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cpu/parallel_range.h"
#include "backend/cpu/reduction.h"
#include "backend/cpu/reduction_walk.h"
#include "base/check.h"

namespace batchwise::cpu {
namespace {

// Adds an axis outside those that `walk` has (they come from the innermost outwards).
void add_outer_axis(AxisWalk& walk, std::int64_t size, std::int64_t stride, bool continues) {
  walk.count *= size;
  if (continues && walk.rank > 0) {
    walk.sizes[static_cast<std::size_t>(walk.rank - 1)] *= size;
    return;
  }
  BW_CHECK(walk.rank < AxisWalk::kMaxRank, "more than {} axes", AxisWalk::kMaxRank);
  walk.sizes[static_cast<std::size_t>(walk.rank)] = size;
  walk.strides[static_cast<std::size_t>(walk.rank)] = stride;
  ++walk.rank;
}

void reverse(AxisWalk& walk) {
  std::reverse(walk.sizes.begin(), walk.sizes.begin() + walk.rank);
  std::reverse(walk.strides.begin(), walk.strides.begin() + walk.rank);
}

}  // namespace

ReducePlan plan_reduction(std::span<const std::int64_t> shape, const std::vector<bool>& is_reduced,
                          bool chain_samples) {
  BW_CHECK(shape.size() == is_reduced.size());
  ReducePlan plan;
  std::size_t first = 0;
  std::int64_t stride = 1;
  for (const std::int64_t size : shape) stride *= size;
  if (chain_samples && !shape.empty() && is_reduced[0] && shape[0] > 0) {
    plan.links = shape[0];
    plan.link_stride = stride / shape[0];
    first = 1;
  }
  stride = 1;
  bool in_run = true;  // still on the innermost axis
  bool has_run = false;
  bool last_reduced = false;  // the flag of the axis before, which this one may continue
  for (std::size_t k = shape.size(); k-- > first;) {
    const std::int64_t size = shape[k];
    if (is_reduced[k]) {
      plan.terms *= size;
    } else {
      plan.outputs *= size;
    }
    if (size == 1) continue;
    const bool continues = has_run && is_reduced[k] == last_reduced;
    if (!has_run || (in_run && continues)) {
      plan.run *= size;
      plan.run_is_reduced = is_reduced[k];
      has_run = true;
    } else {
      add_outer_axis(is_reduced[k] ? plan.reduced : plan.kept, size, stride, continues && !in_run);
      in_run = false;
    }
    last_reduced = is_reduced[k];
    stride *= size;
  }
  plan.terms *= plan.links;
  reverse(plan.kept);
  reverse(plan.reduced);
  return plan;
}

void reduce_max_grad(const ReducePlan& plan, const float* dy, const float* x, const float* y,
                     float* dx, ThreadPool* pool) {
  // One output element and all that it was made of at a time.
  const std::int64_t kept_run = plan.run_is_reduced ? 1 : plan.run;
  const std::int64_t reduced_run = plan.run_is_reduced ? plan.run : 1;
  for_each_range(pool, plan.outputs, plan.terms, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) {
      const std::int64_t base = WalkPlace(plan.kept, o / kept_run).offset() + o % kept_run;
      bool given = false;
      for (std::int64_t link = 0; link < plan.links; ++link) {
        WalkPlace place(plan.reduced);
        for (std::int64_t r = 0; r < plan.reduced.count; ++r, place.next()) {
          const std::int64_t at = base + link * plan.link_stride + place.offset();
          for (std::int64_t i = at; i < at + reduced_run; ++i) {
            const bool takes = !given && x[i] == y[o];
            dx[i] = takes ? dy[o] : 0.0f;
            given = given || takes;
          }
        }
      }
    }
  });
}

}  // namespace batchwise::cpu

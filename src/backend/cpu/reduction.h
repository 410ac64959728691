// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"

// Sums, means and maxima over any axes of a contiguous tensor. `pool` may be null.
namespace batchwise::cpu {

enum class ReduceOp : std::uint8_t { kSum, kMean, kMax };

// Axes walked in order, as few as will do.
struct AxisWalk {
  static constexpr int kMaxRank = 6;
  int rank = 0;
  std::int64_t count = 1;  // product of the sizes
  std::array<std::int64_t, kMaxRank> sizes{};
  std::array<std::int64_t, kMaxRank> strides{};  // in elements of the input
};

// A reduction with its strides. An output element is the sum, over `links` places of the leading
// axis in order, of a link: a sum from zero over the `reduced` axes. Where the input's innermost
// axis is reduced, it is summed in 16 lanes; else a link runs along the reduced axes in blocks of
// 256. A link of one term is that term, so column sums of [rows, columns] are one chain a column.
struct ReducePlan {
  std::int64_t links = 1;
  std::int64_t link_stride = 0;
  std::int64_t run = 1;  // elements of the innermost axis
  bool run_is_reduced = false;
  AxisWalk kept;     // axes that stay, without the innermost
  AxisWalk reduced;  // axes summed in a link, without the innermost
  std::int64_t outputs = 1;
  std::int64_t terms = 1;  // elements an output is made of
};

// Reduces the axes whose flag is set. `chain_samples`: a reduced axis 0 gives the links (the law of
// sums over samples); else it is an axis like others. Requires: at most kMaxRank kept and reduced
// axes when collapsed.
ReducePlan plan_reduction(std::span<const std::int64_t> shape, const std::vector<bool>& is_reduced,
                          bool chain_samples);

// y = x reduced. A NaN anywhere gives NaN.
void reduce(ReduceOp op, const ReducePlan& plan, const float* x, float* y, ThreadPool* pool);

// y = x summed, or, with `continues`, the chain of each output goes on from what lies in y: the
// same bits however the links are dealt out to calls.
void sum_to(const ReducePlan& plan, const float* x, bool continues, float* y, ThreadPool* pool);

// dx = dy at the first element that equals the maximum y, 0 elsewhere.
void reduce_max_grad(const ReducePlan& plan, const float* dy, const float* x, const float* y,
                     float* dx, ThreadPool* pool);

}  // namespace batchwise::cpu

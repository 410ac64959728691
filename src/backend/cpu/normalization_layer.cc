// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "backend/cpu/normalization.h"
#include "backend/cpu/parallel_range.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/normalization_layer.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "backend/cpu/vector_lanes-inl.h"

#ifndef BATCHWISE_BACKEND_CPU_NORMALIZATION_LAYER_ARGS
#define BATCHWISE_BACKEND_CPU_NORMALIZATION_LAYER_ARGS
namespace batchwise::cpu {
template <class Job>
struct LayerNormRange {
  const Job& job;
  std::int64_t begin, end;
};
}  // namespace batchwise::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu {
namespace HWY_NAMESPACE {

struct LayerNormKernel {
  template <class D>
  static HWY_INLINE void run_row(D d, const LayerNorm& args, std::int64_t row) {
    const std::int64_t count = args.count;
    const float* x = args.x + row * count;
    float* y = args.y + row * count;
    const float divisor = static_cast<float>(count);
    const float mean =
        sum_lanes(d, count, [&](auto io, std::int64_t i) HWY_ATTR { return io.load(x + i); }) /
        divisor;
    const auto center = hn::Set(d, mean);
    const float squares = sum_lanes(d, count, [&](auto io, std::int64_t i) HWY_ATTR {
      const auto distance = hn::Sub(io.load(x + i), center);
      return hn::Mul(distance, distance);
    });
    const float inv_std = 1.0f / std::sqrt(squares / divisor + args.epsilon);
    if (args.mean != nullptr) args.mean[row] = mean;
    if (args.inv_std != nullptr) args.inv_std[row] = inv_std;
    const auto factor = hn::Set(d, inv_std);
    for_each_vector(d, 0, count, [&](auto io, std::int64_t i) HWY_ATTR {
      auto normalized = hn::Mul(hn::Sub(io.load(x + i), center), factor);
      if (args.scale != nullptr) normalized = hn::Mul(normalized, io.load(args.scale + i));
      if (args.bias != nullptr) normalized = hn::Add(normalized, io.load(args.bias + i));
      io.store(normalized, y + i);
    });
  }

  template <class D>
  void operator()(D d, const LayerNormRange<LayerNorm>& range) const {
    for (std::int64_t row = range.begin; row < range.end; ++row) run_row(d, range.job, row);
  }
};

struct LayerNormGradKernel {
  template <class D>
  static HWY_INLINE void run_row(D d, const LayerNormGrad& args, std::int64_t row) {
    const std::int64_t count = args.count;
    const float* x = args.x + row * count;
    const float* dy = args.dy + row * count;
    const float* scale = args.scale;
    const auto mean = hn::Set(d, args.mean[row]);
    const auto inv_std = hn::Set(d, args.inv_std[row]);
    const auto slope = [&](auto io, std::int64_t i) HWY_ATTR {
      const auto value = io.load(dy + i);
      return scale == nullptr ? value : hn::Mul(value, io.load(scale + i));
    };
    const auto normalized = [&](auto io, std::int64_t i) HWY_ATTR {
      return hn::Mul(hn::Sub(io.load(x + i), mean), inv_std);
    };
    if (args.dscale_terms != nullptr) {
      float* terms = args.dscale_terms + row * count;
      for_each_vector(d, 0, count, [&](auto io, std::int64_t i) HWY_ATTR {
        io.store(hn::Mul(io.load(dy + i), normalized(io, i)), terms + i);
      });
    }
    if (args.dx == nullptr) return;
    float* dx = args.dx + row * count;
    const float divisor = static_cast<float>(count);
    const auto mean_slope = hn::Set(d, sum_lanes(d, count, slope) / divisor);
    const float product = sum_lanes(d, count, [&](auto io, std::int64_t i) HWY_ATTR {
      return hn::Mul(slope(io, i), normalized(io, i));
    });
    const auto mean_product = hn::Set(d, product / divisor);
    for_each_vector(d, 0, count, [&](auto io, std::int64_t i) HWY_ATTR {
      const auto centered = hn::Sub(slope(io, i), mean_slope);
      const auto rest = hn::NegMulAdd(normalized(io, i), mean_product, centered);
      io.store(hn::Mul(rest, inv_std), dx + i);
    });
  }

  template <class D>
  void operator()(D d, const LayerNormRange<LayerNormGrad>& range) const {
    for (std::int64_t row = range.begin; row < range.end; ++row) run_row(d, range.job, row);
  }
};

void layer_norm_range(const LayerNormRange<LayerNorm>& range) {
  at_vector_width<LayerNormKernel>(range);
}
void layer_norm_grad_range(const LayerNormRange<LayerNormGrad>& range) {
  at_vector_width<LayerNormGradKernel>(range);
}

}  // namespace HWY_NAMESPACE
}  // namespace batchwise::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {

HWY_EXPORT(layer_norm_range);
HWY_EXPORT(layer_norm_grad_range);

void layer_norm(const LayerNorm& args, ThreadPool* pool) {
  for_each_range(pool, args.rows, args.count, 1, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(layer_norm_range)({args, begin, end});
  });
}

void layer_norm_grad(const LayerNormGrad& args, ThreadPool* pool) {
  for_each_range(pool, args.rows, args.count, 1, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(layer_norm_grad_range)({args, begin, end});
  });
}

}  // namespace batchwise::cpu
#endif  // HWY_ONCE

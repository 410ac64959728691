// SPDX-License-Identifier: Apache-2.0
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/dense_gradient.cc"
#include <hwy/foreach_target.h>
// Behind foreach_target.h, which sets the target.
#include "backend/cpu/dense_gradient-inl.h"
#include "backend/cpu/vector_width.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

void weight_gradient_on_target(const WeightGradientJob& job, ThreadPool& pool, float* scratch) {
#if HWY_TARGET == HWY_AVX2
  if (uses_narrow_vectors()) {
    return weight_gradient_with<hn::CappedTag<float, 4>>(job, pool, scratch);
  }
#endif
  weight_gradient_with<hn::ScalableTag<float>>(job, pool, scratch);
}

void bias_gradient_on_target(const BiasGradientJob& job, ThreadPool& pool) {
#if HWY_TARGET == HWY_AVX2
  if (uses_narrow_vectors()) return bias_gradient_with<hn::CappedTag<float, 4>>(job, pool);
#endif
  bias_gradient_with<hn::ScalableTag<float>>(job, pool);
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {

HWY_EXPORT(weight_gradient_on_target);
HWY_EXPORT(bias_gradient_on_target);

std::size_t weight_gradient_scratch_floats(std::int64_t m, std::int64_t k, std::int64_t n,
                                           int threads) {
  const GradientPath path = choose_gradient_path(m, n);
  if (path == GradientPath::kFewSamples) return 0;
  if (path == GradientPath::kNarrow) {
    return static_cast<std::size_t>(NarrowGradientLayout(k, n, threads).part_floats * threads);
  }
  const GradientLayout layout(m, n);
  return static_cast<std::size_t>(layout.panel_floats + threads * layout.strip_floats);
}

void weight_gradient(const WeightGradientJob& job, ThreadPool& pool, float* scratch) {
  HWY_DYNAMIC_DISPATCH(weight_gradient_on_target)(job, pool, scratch);
}

void bias_gradient(const BiasGradientJob& job, ThreadPool& pool) {
  HWY_DYNAMIC_DISPATCH(bias_gradient_on_target)(job, pool);
}

}  // namespace batchwise::cpu
#endif  // HWY_ONCE

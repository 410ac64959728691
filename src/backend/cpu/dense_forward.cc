// SPDX-License-Identifier: Apache-2.0
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/dense_forward.cc"
#include <hwy/foreach_target.h>
// Behind foreach_target.h, which sets the target.
#include "backend/cpu/dense_forward-inl.h"
#include "backend/cpu/vector_width.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

void forward_on_target(const DenseJob& job, ThreadPool& pool, float* scratch) {
#if HWY_TARGET == HWY_AVX2
  if (uses_narrow_vectors()) {
    return dense_forward_with<hn::CappedTag<float, 4>>(job, pool, scratch);
  }
#endif
  dense_forward_with<hn::ScalableTag<float>>(job, pool, scratch);
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {

HWY_EXPORT(forward_on_target);

std::size_t dense_scratch_floats(std::int64_t /*m*/, std::int64_t /*n*/, std::int64_t /*k*/,
                                 int /*threads*/) {
  return 0;
}

void dense_forward(const DenseJob& job, ThreadPool& pool, float* scratch) {
  HWY_DYNAMIC_DISPATCH(forward_on_target)(job, pool, scratch);
}

}  // namespace batchwise::cpu
#endif  // HWY_ONCE

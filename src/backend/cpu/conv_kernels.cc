// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/conv_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/conv_kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "backend/cpu/conv_kernels-inl.h"
#include "backend/cpu/vector_width.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

const ConvKernels& conv_kernels_of_target() {
#if HWY_TARGET == HWY_AVX2
  if (uses_narrow_vectors()) {
    static const ConvKernels narrow = make_conv_kernels<hn::CappedTag<float, 4>>();
    return narrow;
  }
#endif
  static const ConvKernels kernels = make_conv_kernels<hn::ScalableTag<float>>();
  return kernels;
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {

HWY_EXPORT(conv_kernels_of_target);

const ConvKernels& conv_kernels() { return HWY_DYNAMIC_DISPATCH(conv_kernels_of_target)(); }

}  // namespace batchwise::cpu
#endif

// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/conv_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/conv_kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "backend/cpu/conv_kernels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

const ConvKernels& conv_kernels_of_target() {
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

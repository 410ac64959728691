// SPDX-License-Identifier: Apache-2.0
// The table of the micro-kernels of convolutions.
#if defined(BATCHWISE_BACKEND_CPU_CONV_KERNELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_CONV_KERNELS_INL_H_
#undef BATCHWISE_BACKEND_CPU_CONV_KERNELS_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_CONV_KERNELS_INL_H_
#endif

#include "backend/cpu/conv_depthwise-inl.h"
#include "backend/cpu/conv_gradient_tile-inl.h"
#include "backend/cpu/conv_kernels.h"
#include "backend/cpu/conv_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

template <class D, int kVectors, int kRows>
void conv_fill_tiles(ConvKernels& kernels) {
  if constexpr (kRows > 0) {
    constexpr int kLog = kVectors == 1 ? 0 : kVectors == 2 ? 1 : 2;
    kernels.tile[kLog][kRows] = &conv_tile<D, kRows, kVectors>;
    if constexpr (kLog < 2)
      kernels.gradient_tile[kLog][kRows] = &conv_gradient_tile<D, kRows, kVectors>;
    conv_fill_tiles<D, kVectors, kRows - 1>(kernels);
  }
}

// Accumulators, one or two vectors of weights and a broadcast fill 32 or 16 registers.
template <class D>
ConvKernels make_conv_kernels() {
  constexpr bool kManyRegisters = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64;
  constexpr int kRows = kManyRegisters ? 14 : 6;
  constexpr int kWideRows = kManyRegisters ? 6 : 2;
  ConvKernels kernels{};
  kernels.lanes = kConvLanes<D>;
  kernels.max_rows = kRows;
  kernels.max_wide_rows = kWideRows;
  kernels.free_rows = kConvFreeRows;
  conv_fill_tiles<D, 1, kRows>(kernels);
  conv_fill_tiles<D, 2, kRows>(kernels);
  conv_fill_tiles<D, 4, kWideRows>(kernels);
  kernels.depthwise_row = &conv_depthwise_row<D>;
  kernels.depthwise_gradient = &conv_depthwise_gradient<D>;
  kernels.column_sums = &conv_column_sums<D>;
  return kernels;
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // BATCHWISE_BACKEND_CPU_CONV_KERNELS_INL_H_

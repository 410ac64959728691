// SPDX-License-Identifier: Apache-2.0
// The weight gradient of a few samples, straight from X and dY.
#if defined(BATCHWISE_BACKEND_CPU_DENSE_GRADIENT_FEW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_DENSE_GRADIENT_FEW_INL_H_
#undef BATCHWISE_BACKEND_CPU_DENSE_GRADIENT_FEW_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_DENSE_GRADIENT_FEW_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "backend/cpu/dense_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

// Adds the samples to kLanes<D> elements of a row of dW.
template <int kSamples, bool kAccumulate, class D>
HWY_INLINE void add_samples_at(D d, const WeightGradientJob& job, const float (&x)[kSamples],
                               float* dw, std::int64_t column) {
  auto sum = kAccumulate ? hn::LoadU(d, dw + column) : hn::Zero(d);
  for (int s = 0; s < kSamples; ++s) {
    multiply_add(sum, hn::Set(d, x[s]), hn::LoadU(d, job.dy + s * job.dy_stride + column));
  }
  hn::StoreU(sum, d, dw + column);
}

// A few samples: dW is read and written once, straight from X and dY. The end of a
// row goes in pieces of 8, 4, 2 and 1: a masked store would stall the load of the next row.
template <int kSamples, bool kAccumulate, class D>
HWY_NOINLINE void add_few_samples(D d, const WeightGradientJob& job, std::int64_t row,
                                  std::int64_t row_end) {
  for (; row < row_end; ++row) {
    float x[kSamples];
    for (int s = 0; s < kSamples; ++s) x[s] = job.x[s * job.x_stride + row];
    float* dw = job.dw + row * job.dw_stride;
    std::int64_t column = 0;
#pragma GCC unroll 4
    for (; column + kLanes<D> <= job.n; column += kLanes<D>) {
      add_samples_at<kSamples, kAccumulate>(d, job, x, dw, column);
    }
    const std::int64_t rest = job.n - column;
    if constexpr (kLanes < D >> 8) {
      if ((rest & 8) != 0) {
        add_samples_at<kSamples, kAccumulate>(hn::CappedTag<float, 8>(), job, x, dw, column);
        column += 8;
      }
    }
    if constexpr (kLanes < D >> 4) {
      if ((rest & 4) != 0) {
        add_samples_at<kSamples, kAccumulate>(hn::CappedTag<float, 4>(), job, x, dw, column);
        column += 4;
      }
    }
    if ((rest & 2) != 0) {
      add_samples_at<kSamples, kAccumulate>(hn::CappedTag<float, 2>(), job, x, dw, column);
      column += 2;
    }
    if ((rest & 1) != 0) {
      add_samples_at<kSamples, kAccumulate>(hn::CappedTag<float, 1>(), job, x, dw, column);
    }
  }
}

template <bool kAccumulate, class D>
void add_few_samples_by_count(D d, const WeightGradientJob& job, std::int64_t row,
                              std::int64_t row_end) {
  switch (job.m) {
    case 0:
      for (; row < row_end && !kAccumulate; ++row) {
        std::fill_n(job.dw + row * job.dw_stride, job.n, 0.0f);
      }
      return;
    case 1:
      return add_few_samples<1, kAccumulate>(d, job, row, row_end);
    case 2:
      return add_few_samples<2, kAccumulate>(d, job, row, row_end);
    default:
      return add_few_samples<3, kAccumulate>(d, job, row, row_end);
  }
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // BATCHWISE_BACKEND_CPU_DENSE_GRADIENT_FEW_INL_H_

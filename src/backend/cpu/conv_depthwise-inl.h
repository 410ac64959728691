// SPDX-License-Identifier: Apache-2.0
// Depthwise convolutions and their weight gradient: vectors run over channels.
#if defined(BATCHWISE_BACKEND_CPU_CONV_DEPTHWISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_CONV_DEPTHWISE_INL_H_
#undef BATCHWISE_BACKEND_CPU_CONV_DEPTHWISE_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_CONV_DEPTHWISE_INL_H_
#endif

#include <cstdint>

#include "backend/cpu/conv_kernels.h"
#include "backend/cpu/conv_terms-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

// One output position of a depthwise pass, kVectors vectors of channels from `c` on.
template <Activation kActivation, int kVectors, class D>
HWY_INLINE void conv_depthwise_position(D d, const ConvDepthwiseRow& row, std::int64_t position,
                                        std::int64_t c) {
  constexpr int kLanes = kConvLanes<D>;
  const float* const* inputs = row.inputs + position * row.num_segments;
  hn::Vec<D> totals[kVectors], sums[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) totals[v] = sums[v] = hn::Zero(d);
  bool first_block = true;
  for (std::int64_t i = 0; i < row.num_segments; ++i) {
    const float* x = inputs[i] + c;
    const float* w = row.weights + row.segments[i].weight_offset + c;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sums[v] = hn::MulAdd(hn::LoadU(d, x + v * kLanes), hn::LoadU(d, w + v * kLanes), sums[v]);
    }
    if (!row.segments[i].ends_block) continue;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      totals[v] = first_block ? sums[v] : hn::Add(totals[v], sums[v]);
      sums[v] = hn::Zero(d);
    }
    first_block = false;
  }
  const std::int64_t at = position * row.y_step + c;
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const std::int64_t o = v * kLanes;
    const auto y = conv_finish<kActivation>(d, totals[v], *row.epilogue, c + o, at + o);
    hn::StoreU(y, d, row.y + at + o);
  }
}

template <Activation kActivation, class D>
void conv_depthwise_positions(D d, const ConvDepthwiseRow& row) {
  constexpr int kLanes = kConvLanes<D>;
  const hn::CappedTag<float, 1> one;
  std::int64_t c = 0;
  // Weights of a group of channels stay in the first cache for a whole row of positions.
  for (; c + 4 * kLanes <= row.channels; c += 4 * kLanes) {
    for (std::int64_t p = 0; p < row.positions; ++p) {
      conv_depthwise_position<kActivation, 4>(d, row, p, c);
    }
  }
  for (; c + kLanes <= row.channels; c += kLanes) {
    for (std::int64_t p = 0; p < row.positions; ++p) {
      conv_depthwise_position<kActivation, 1>(d, row, p, c);
    }
  }
  for (; c < row.channels; ++c) {
    for (std::int64_t p = 0; p < row.positions; ++p) {
      conv_depthwise_position<kActivation, 1>(one, row, p, c);
    }
  }
}

template <class D>
HWY_NOINLINE void conv_depthwise_row(const ConvDepthwiseRow& row) {
  const D d;
  switch (row.epilogue->activation) {
    case Activation::kNone:
      return conv_depthwise_positions<Activation::kNone>(d, row);
    case Activation::kRelu:
      return conv_depthwise_positions<Activation::kRelu>(d, row);
    case Activation::kLeakyRelu:
      return conv_depthwise_positions<Activation::kLeakyRelu>(d, row);
    case Activation::kClip:
      return conv_depthwise_positions<Activation::kClip>(d, row);
  }
}

template <int kVectors, class D>
HWY_INLINE void conv_depthwise_gradient_channels(D d, const ConvDepthwiseGradient& job,
                                                 std::int64_t c) {
  constexpr int kLanes = kConvLanes<D>;
  hn::Vec<D> sums[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) sums[v] = hn::Zero(d);
  for (std::int64_t h = 0; h < job.height; ++h) {
    const float* x = job.x + h * job.x_row_step + c;
    const float* dy = job.dy + h * job.dy_row_step + c;
    for (std::int64_t w = 0; w < job.width; ++w, x += job.x_step, dy += job.dy_step) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        sums[v] = hn::MulAdd(hn::LoadU(d, x + v * kLanes), hn::LoadU(d, dy + v * kLanes), sums[v]);
      }
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    float* to = job.sum + c + v * kLanes;
    hn::StoreU(hn::Add(job.add ? hn::LoadU(d, to) : hn::Zero(d), sums[v]), d, to);
  }
}

template <class D>
HWY_NOINLINE void conv_depthwise_gradient(const ConvDepthwiseGradient& job) {
  const D d;
  constexpr int kLanes = kConvLanes<D>;
  const hn::CappedTag<float, 1> one;
  std::int64_t c = 0;
  for (; c + 4 * kLanes <= job.channels; c += 4 * kLanes) {
    conv_depthwise_gradient_channels<4>(d, job, c);
  }
  for (; c + kLanes <= job.channels; c += kLanes) conv_depthwise_gradient_channels<1>(d, job, c);
  for (; c < job.channels; ++c) conv_depthwise_gradient_channels<1>(one, job, c);
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // BATCHWISE_BACKEND_CPU_CONV_DEPTHWISE_INL_H_

// SPDX-License-Identifier: Apache-2.0
// The micro-kernels of the gradients of weights and bias.
#if defined(BATCHWISE_BACKEND_CPU_CONV_GRADIENT_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_CONV_GRADIENT_TILE_INL_H_
#undef BATCHWISE_BACKEND_CPU_CONV_GRADIENT_TILE_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_CONV_GRADIENT_TILE_INL_H_
#endif

#include <cstdint>

#include "backend/cpu/conv_kernels.h"
#include "backend/cpu/conv_terms-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

// The micro-kernel of the weight gradient: positions in order, from zero.
template <class D, int kRows, int kVectors>
HWY_NOINLINE void conv_gradient_tile(const ConvGradientTile& tile) {
  const D d;
  constexpr int kLanes = kConvLanes<D>;
  constexpr int kUnroll = 4;
  for (int r = 0; r < kRows; ++r) {
    conv_prefetch_row<kVectors * kLanes, true>(tile.sum + r * tile.sum_stride);
  }
  hn::Vec<D> sums[kRows][kVectors];
  conv_clear(d, sums);
  const std::int64_t x_step = tile.x_step;
  const std::int64_t dy_step = tile.dy_step;
  for (std::int64_t h = 0; h < tile.height; ++h) {
    const float* x = tile.x + h * tile.x_row_step;
    const float* dy = tile.dy + h * tile.dy_row_step;
    const auto step = [&](auto) BW_CONV_INLINE {
      conv_add_terms<D>(
          sums, [&](auto r) BW_CONV_INLINE { return hn::Set(d, x[r]); },
          [&](auto v) BW_CONV_INLINE { return hn::LoadU(d, dy + v * kLanes); });
      x += x_step;
      dy += dy_step;
    };
    std::int64_t w = 0;
    for (; w + kUnroll <= tile.width; w += kUnroll) conv_each<kUnroll>(step);
    for (; w < tile.width; ++w) step(std::integral_constant<int, 0>());
  }
  conv_each_sum<kRows, kVectors>([&](auto r, auto v) BW_CONV_INLINE {
    float* to = tile.sum + r * tile.sum_stride + v * kLanes;
    hn::StoreU(hn::Add(tile.add ? hn::LoadU(d, to) : hn::Zero(d), sums[r][v]), d, to);
  });
}

template <int kVectors, class D>
HWY_INLINE void conv_sum_channels(D d, const float* x, std::int64_t positions, std::int64_t step,
                                  float* sums, bool add) {
  constexpr int kLanes = kConvLanes<D>;
  hn::Vec<D> totals[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) totals[v] = hn::Zero(d);
  for (std::int64_t p = 0; p < positions; ++p, x += step) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      totals[v] = hn::Add(totals[v], hn::LoadU(d, x + v * kLanes));
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    float* to = sums + v * kLanes;
    hn::StoreU(hn::Add(add ? hn::LoadU(d, to) : hn::Zero(d), totals[v]), d, to);
  }
}

template <class D>
HWY_NOINLINE void conv_column_sums(const float* x, std::int64_t positions, std::int64_t step,
                                   std::int64_t channels, float* sums, bool add) {
  const D d;
  constexpr int kLanes = kConvLanes<D>;
  const hn::CappedTag<float, 1> one;
  std::int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) {
    conv_sum_channels<4>(d, x + c, positions, step, sums + c, add);
  }
  for (; c + kLanes <= channels; c += kLanes) {
    conv_sum_channels<1>(d, x + c, positions, step, sums + c, add);
  }
  for (; c < channels; ++c) conv_sum_channels<1>(one, x + c, positions, step, sums + c, add);
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // BATCHWISE_BACKEND_CPU_CONV_GRADIENT_TILE_INL_H_

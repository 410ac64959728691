// SPDX-License-Identifier: Apache-2.0
// Tiles of dW, one chain over the samples for each element, and the strips that they lie in.
#if defined(BATCHWISE_BACKEND_CPU_DENSE_GRADIENT_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_DENSE_GRADIENT_TILE_INL_H_
#undef BATCHWISE_BACKEND_CPU_DENSE_GRADIENT_TILE_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_DENSE_GRADIENT_TILE_INL_H_
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "backend/cpu/dense_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

// Strips of X are as tall as the tiles of dW: 12 x 2 or 6 x 2 vectors.
template <class D>
inline constexpr int kStripRows = kLanes<D> == 16 ? 12 : 6;
template <class D>
inline constexpr int kGradientVectors = 2;

// A strip of dW: all its rows, `columns` of them beside each other.
struct Strip {
  std::int64_t samples;
  const float* x;
  std::int64_t x_stride;
  const float* dy;  // packed panels
  float* dw;
  std::int64_t dw_stride;
  std::int64_t columns;
};

// One tile of a strip: loads it or starts from zero, adds the chain, stores it.
template <Rows kLayout, bool kAccumulate, class D, int kRows, int kVectors>
HWY_INLINE void gradient_tile(D d, const Strip& strip, const float* dy, float* dw,
                              std::int64_t dw_stride) {
  Cursor<D, kRows, kVectors> cursor;
  cursor.a[0] = strip.x;
  cursor.a_stride = strip.x_stride;
  for (int i = 0; i < kPanels<D, kVectors>; ++i) {
    cursor.b[i] = dy + i * strip.samples * kPanelColumns;
  }
  hn::Vec<D> sums[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = kAccumulate ? hn::LoadU(d, dw + r * dw_stride + v * kLanes<D>) : hn::Zero(d);
    }
  }
  add_chain<kLayout, false>(d, strip.samples, cursor, sums);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sums[r][v], d, dw + r * dw_stride + v * kLanes<D>);
    }
  }
}

// All tiles of a strip. The last one may be wider than dW: it is computed aside.
template <Rows kLayout, bool kAccumulate, class D, int kRows, int kVectors>
HWY_NOINLINE void gradient_strip(const Strip& strip) {
  const D d;
  constexpr std::int64_t kColumns = kVectors * kLanes<D>;
  std::int64_t column = 0;
  const auto panel = [&] {
    return strip.dy + column / kPanelColumns * strip.samples * kPanelColumns +
           column % kPanelColumns;
  };
  for (; column + kColumns <= strip.columns; column += kColumns) {
    float* dw = strip.dw + column;
    // The tile after the next: reading dW from memory is what this loop waits for.
    if (kAccumulate) {
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int i = 0; i < kColumns; i += kPanelColumns) {
          __builtin_prefetch(dw + r * strip.dw_stride + 2 * kColumns + i, 1, 3);
        }
      }
    }
    gradient_tile<kLayout, kAccumulate, D, kRows, kVectors>(d, strip, panel(), dw, strip.dw_stride);
  }
  const std::int64_t rest = strip.columns - column;
  if (rest == 0) return;
  alignas(64) float aside[kRows * kColumns];
  float* dw = strip.dw + column;
  if (kAccumulate) {
    for (int r = 0; r < kRows; ++r) {
      std::copy_n(dw + r * strip.dw_stride, rest, aside + r * kColumns);
    }
  }
  gradient_tile<kLayout, kAccumulate, D, kRows, kVectors>(d, strip, panel(), aside, kColumns);
  for (int r = 0; r < kRows; ++r) {
    std::copy_n(aside + r * kColumns, rest, dw + r * strip.dw_stride);
  }
}

using StripFunction = void (*)(const Strip&);

template <Rows kLayout, bool kAccumulate, class D, int kRows, int kVectors>
constexpr StripFunction strip_function() {
  if constexpr (kRows == 0) {
    return nullptr;
  } else {
    return &gradient_strip<kLayout, kAccumulate, D, kRows, kVectors>;
  }
}

template <Rows kLayout, bool kAccumulate, class D, int kVectors, int... kRows>
constexpr std::array<StripFunction, sizeof...(kRows)> make_strip_table(
    std::integer_sequence<int, kRows...>) {
  return {strip_function<kLayout, kAccumulate, D, kRows, kVectors>()...};
}

template <Rows kLayout, bool kAccumulate, class D, int kVectors>
inline constexpr auto kStripTable = make_strip_table<kLayout, kAccumulate, D, kVectors>(
    std::make_integer_sequence<int, kStripRows<D> + 1>());

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // BATCHWISE_BACKEND_CPU_DENSE_GRADIENT_TILE_INL_H_

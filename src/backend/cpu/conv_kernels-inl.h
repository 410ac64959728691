// SPDX-License-Identifier: Apache-2.0
// The micro-kernels of convolutions: a tile of output positions x vectors of output channels, one
// accumulator an element.
#if defined(BATCHWISE_BACKEND_CPU_CONV_KERNELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_CONV_KERNELS_INL_H_
#undef BATCHWISE_BACKEND_CPU_CONV_KERNELS_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_CONV_KERNELS_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "backend/cpu/conv_kernels.h"
#include "backend/cpu/fma-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

template <class D>
inline constexpr int kConvLanes = static_cast<int>(hn::MaxLanes(D()));

// Floats from a tile's first weight to that of its vector `v`.
template <class D>
constexpr std::int64_t conv_vector_offset(int v, std::int64_t panel_stride) {
  constexpr int kPerPanel = static_cast<int>(kConvPanel) / kConvLanes<D>;
  return v / kPerPanel * panel_stride + v % kPerPanel * kConvLanes<D>;
}

#define BW_CONV_INLINE HWY_ATTR __attribute__((always_inline))

// Calls body(i) for i in [0, kCount) as constants. A loop that is unrolled only later leaves the
// accumulators in memory (g++ 12: two thirds of the speed).
template <class Body, int... kIndices>
HWY_INLINE void conv_each(std::integer_sequence<int, kIndices...>, const Body& body) {
  (body(std::integral_constant<int, kIndices>()), ...);
}
template <int kCount, class Body>
HWY_INLINE void conv_each(const Body& body) {
  conv_each(std::make_integer_sequence<int, kCount>(), body);
}

// Calls body(row, vector) for every accumulator of a tile.
template <int kRows, int kVectors, class Body>
HWY_INLINE void conv_each_sum(const Body& body) {
  conv_each<kRows>([&](auto r) BW_CONV_INLINE {
    conv_each<kVectors>([&](auto v) BW_CONV_INLINE { body(r, v); });
  });
}

template <class D, int kRows, int kVectors>
HWY_INLINE void conv_clear(D d, hn::Vec<D> (&sums)[kRows][kVectors]) {
  conv_each_sum<kRows, kVectors>([&](auto r, auto v) BW_CONV_INLINE { sums[r][v] = hn::Zero(d); });
}

// Adds b[v] * a(row) to every sum.
template <class D, int kRows, int kVectors, class LoadA, class LoadB>
HWY_INLINE void conv_add_terms(hn::Vec<D> (&sums)[kRows][kVectors], const LoadA& load_a,
                               const LoadB& load_b) {
  hn::Vec<D> b[kVectors];
  conv_each<kVectors>([&](auto v) BW_CONV_INLINE {
    b[v] = load_b(v);
    keep_in_register(b[v]);
  });
  conv_each<kRows>([&](auto r) BW_CONV_INLINE {
    auto a = load_a(r);
    keep_in_register(a);
    conv_each<kVectors>([&](auto v) BW_CONV_INLINE { multiply_add(sums[r][v], a, b[v]); });
  });
}

// Applies the epilogue to one vector whose bias is at `column` and whose residual is at `at`.
template <Activation kActivation, class D>
HWY_INLINE hn::Vec<D> conv_finish(D d, hn::Vec<D> sum, const Epilogue& epilogue,
                                  std::int64_t column, std::int64_t at) {
  if (epilogue.bias != nullptr) sum = hn::Add(sum, hn::LoadU(d, epilogue.bias + column));
  if (epilogue.residual != nullptr) sum = hn::Add(sum, hn::LoadU(d, epilogue.residual + at));
  return activate<kActivation>(d, sum, epilogue);
}

// Stores the sums of a tile [rows][width], where fewer columns than the tile's may exist.
template <Activation kActivation, class D>
void conv_store_rows(D d, const float* sums, int rows, int width, const ConvTile& tile) {
  constexpr int kLanes = kConvLanes<D>;
  const Epilogue& epilogue = *tile.epilogue;
  for (int r = 0; r < rows; ++r) {
    const std::int64_t at = tile.y_offsets[r];
    for (int c = 0; c < width && c < tile.columns; c += kLanes) {
      const std::int64_t count = std::min<std::int64_t>(tile.columns - c, kLanes);
      auto sum = hn::Load(d, sums + r * width + c);
      if (count == kLanes) {
        hn::StoreU(conv_finish<kActivation>(d, sum, epilogue, c, at + c), d, tile.y + at + c);
        continue;
      }
      if (epilogue.bias != nullptr) sum = hn::Add(sum, load_first(d, epilogue.bias + c, count));
      if (epilogue.residual != nullptr) {
        sum = hn::Add(sum, load_first(d, epilogue.residual + at + c, count));
      }
      store_first(d, activate<kActivation>(d, sum, epilogue), tile.y + at + c, count);
    }
  }
}

template <class D>
HWY_NOINLINE void conv_store_tile(D d, const float* sums, int rows, int width,
                                  const ConvTile& tile) {
  switch (tile.epilogue->activation) {
    case Activation::kNone:
      return conv_store_rows<Activation::kNone>(d, sums, rows, width, tile);
    case Activation::kRelu:
      return conv_store_rows<Activation::kRelu>(d, sums, rows, width, tile);
    case Activation::kLeakyRelu:
      return conv_store_rows<Activation::kLeakyRelu>(d, sums, rows, width, tile);
    case Activation::kClip:
      return conv_store_rows<Activation::kClip>(d, sums, rows, width, tile);
  }
}

// Adds the terms of one segment: `length` terms of one tap, in order.
template <class D, int kRows, int kVectors>
HWY_INLINE void conv_add_segment(D d, const ConvTile& tile, const ConvSegment& segment,
                                 hn::Vec<D> (&sums)[kRows][kVectors]) {
  const float* a[kRows];
  conv_each<kRows>(
      [&](auto r) BW_CONV_INLINE { a[r] = tile.inputs[segment.tap * kRows + r] + segment.first; });
  const float* b = tile.weights + segment.weight_offset;
  const std::int64_t panel_stride = tile.panel_stride;
  constexpr int kUnroll = kVectors <= 2 ? 4 : 1;
  std::int64_t k = 0;
  const auto step = [&](auto u) BW_CONV_INLINE {
    conv_add_terms<D>(
        sums, [&](auto r) BW_CONV_INLINE { return hn::Set(d, a[r][k + u]); },
        [&](auto v) BW_CONV_INLINE {
          return hn::Load(d, b + u * kConvPanel + conv_vector_offset<D>(v, panel_stride));
        });
  };
  for (; k + kUnroll <= segment.length; k += kUnroll, b += kUnroll * kConvPanel) {
    conv_each<kUnroll>(step);
  }
  for (; k < segment.length; ++k, b += kConvPanel) step(std::integral_constant<int, 0>());
}

template <Activation kActivation, class D, int kRows, int kVectors>
HWY_INLINE void conv_activate_sums(D d, const Epilogue& epilogue,
                                   hn::Vec<D> (&sums)[kRows][kVectors]) {
  conv_each_sum<kRows, kVectors>([&](auto r, auto v) BW_CONV_INLINE {
    sums[r][v] = activate<kActivation>(d, sums[r][v], epilogue);
  });
}

// Applies the epilogue in registers and stores a tile all of whose columns exist.
template <class D, int kRows, int kVectors>
HWY_INLINE void conv_store_sums(D d, const ConvTile& tile, hn::Vec<D> (&sums)[kRows][kVectors]) {
  constexpr int kLanes = kConvLanes<D>;
  const Epilogue& epilogue = *tile.epilogue;
  if (epilogue.bias != nullptr) {
    conv_each<kVectors>([&](auto v) BW_CONV_INLINE {
      const auto bias = hn::LoadU(d, epilogue.bias + v * kLanes);
      conv_each<kRows>([&](auto r) BW_CONV_INLINE { sums[r][v] = hn::Add(sums[r][v], bias); });
    });
  }
  if (epilogue.residual != nullptr) {
    conv_each_sum<kRows, kVectors>([&](auto r, auto v) BW_CONV_INLINE {
      const float* residual = epilogue.residual + tile.y_offsets[r] + v * kLanes;
      sums[r][v] = hn::Add(sums[r][v], hn::LoadU(d, residual));
    });
  }
  switch (epilogue.activation) {
    case Activation::kNone:
      break;
    case Activation::kRelu:
      conv_activate_sums<Activation::kRelu>(d, epilogue, sums);
      break;
    case Activation::kLeakyRelu:
      conv_activate_sums<Activation::kLeakyRelu>(d, epilogue, sums);
      break;
    case Activation::kClip:
      conv_activate_sums<Activation::kClip>(d, epilogue, sums);
      break;
  }
  conv_each_sum<kRows, kVectors>([&](auto r, auto v) BW_CONV_INLINE {
    hn::StoreU(sums[r][v], d, tile.y + tile.y_offsets[r] + v * kLanes);
  });
}

// Asks for the lines that a tile is going to write: they arrive while it computes.
template <int kFloats>
HWY_INLINE void conv_prefetch_row(float* row) {
  for (int f = 0; f < kFloats; f += 16) __builtin_prefetch(row + f, 1, 3);
}

// The forward micro-kernel. Sums of blocks are kept on the stack: a load, an addition and a store
// for about every 256 multiply-adds.
template <class D, int kRows, int kVectors>
HWY_NOINLINE void conv_tile(const ConvTile& tile) {
  const D d;
  constexpr int kLanes = kConvLanes<D>;
  constexpr int kWidth = kVectors * kLanes;
  HWY_ALIGN float totals[kRows * kWidth];
  for (int r = 0; r < kRows; ++r) {
    conv_prefetch_row<kWidth>(tile.y + tile.y_offsets[r]);
  }
  hn::Vec<D> sums[kRows][kVectors];
  conv_clear(d, sums);
  bool first_block = true;
  for (std::size_t i = 0; i < tile.num_segments; ++i) {
    const ConvSegment& segment = tile.segments[i];
    conv_add_segment(d, tile, segment, sums);
    if (!segment.ends_block) continue;
    const bool last_block = i + 1 == tile.num_segments;
    if (first_block && last_block) break;
    conv_each_sum<kRows, kVectors>([&](auto r, auto v) BW_CONV_INLINE {
      float* total = totals + r * kWidth + v * kLanes;
      if (!first_block) sums[r][v] = hn::Add(hn::Load(d, total), sums[r][v]);
      if (!last_block) hn::Store(sums[r][v], d, total);
    });
    if (!last_block) conv_clear(d, sums);
    first_block = false;
  }
  if (tile.columns >= kWidth) return conv_store_sums(d, tile, sums);
  conv_each_sum<kRows, kVectors>([&](auto r, auto v) BW_CONV_INLINE {
    hn::Store(sums[r][v], d, totals + r * kWidth + v * kLanes);
  });
  conv_store_tile(d, totals, kRows, kWidth, tile);
}

// The micro-kernel of the weight gradient: positions in order, from zero.
template <class D, int kRows, int kVectors>
HWY_NOINLINE void conv_gradient_tile(const ConvGradientTile& tile) {
  const D d;
  constexpr int kLanes = kConvLanes<D>;
  constexpr int kUnroll = 4;
  for (int r = 0; r < kRows; ++r) {
    conv_prefetch_row<kVectors * kLanes>(tile.sum + r * tile.sum_stride);
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
  conv_fill_tiles<D, 1, kRows>(kernels);
  conv_fill_tiles<D, 2, kRows>(kernels);
  conv_fill_tiles<D, 4, kWideRows>(kernels);
  kernels.depthwise_row = &conv_depthwise_row<D>;
  kernels.depthwise_gradient = &conv_depthwise_gradient<D>;
  kernels.column_sums = &conv_column_sums<D>;
  return kernels;
}

#undef BW_CONV_INLINE

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // BATCHWISE_BACKEND_CPU_CONV_KERNELS_INL_H_

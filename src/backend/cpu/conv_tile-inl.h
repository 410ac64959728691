// SPDX-License-Identifier: Apache-2.0
// The micro-kernel of forward passes and input gradients: a tile of output positions x vectors of
// output channels, one accumulator an element.
#if defined(BATCHWISE_BACKEND_CPU_CONV_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_CONV_TILE_INL_H_
#undef BATCHWISE_BACKEND_CPU_CONV_TILE_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_CONV_TILE_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "backend/cpu/conv_kernels.h"
#include "backend/cpu/conv_terms-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

// Floats from a tile's first weight to that of its vector `v`.
template <class D>
constexpr std::int64_t conv_vector_offset(int v, std::int64_t panel_stride) {
  constexpr int kPerPanel = static_cast<int>(kConvPanel) / kConvLanes<D>;
  return v / kPerPanel * panel_stride + v % kPerPanel * kConvLanes<D>;
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

// The rows of a tile that may each have a pointer of its own; of 16 registers for addresses a
// larger tile has one for every three rows, and the rows between are reached by an index (base,
// base + step, base + 2 step).
inline constexpr int kConvFreeRows = HWY_ARCH_X86_64 ? 8 : kConvMaxRows;

// Where the rows of a tile read.
template <int kRows>
struct ConvCursor {
  static constexpr int kStride = kRows > kConvFreeRows ? 3 : 1;
  static constexpr int kHalf = kRows > kConvFreeRows ? (kRows + 1) / 2 : kRows;
  static constexpr int kHalfBases = (kHalf + kStride - 1) / kStride;
  static constexpr int kBases = kHalfBases + (kRows - kHalf + kStride - 1) / kStride;
  const float* bases[kBases];
  std::int64_t step;
};

// Lines of the weights of later columns that are asked for while a tile computes.
struct ConvAhead {
  const float* line;
  std::int64_t step;

  template <int kLines>
  HWY_INLINE void fetch() {
    conv_each<kLines>([&](auto) BW_CONV_INLINE {
      __builtin_prefetch(line, 0, 2);
      line += step;
    });
  }
};

template <int kRows>
HWY_INLINE ConvCursor<kRows> conv_cursor(const float* const* inputs, std::int64_t offset) {
  using Cursor = ConvCursor<kRows>;
  Cursor cursor;
  cursor.step = kRows > kConvFreeRows ? inputs[1] - inputs[0] : 0;
  conv_each<Cursor::kBases>([&](auto b) BW_CONV_INLINE {
    constexpr bool kFirst = b < Cursor::kHalfBases;
    constexpr int kRow = (kFirst ? b : b - Cursor::kHalfBases) * Cursor::kStride;
    if constexpr (Cursor::kStride == 1) {
      cursor.bases[b] = inputs[b] + offset;
    } else {
      cursor.bases[b] = inputs[kFirst ? 0 : Cursor::kHalf] + (offset + kRow * cursor.step);
      keep_apart(cursor.bases[b]);
    }
  });
  return cursor;
}

// The term `k` after the cursor of row kRow.
template <int kRow, int kRows>
HWY_INLINE const float& conv_term(const ConvCursor<kRows>& cursor, std::int64_t k) {
  using Cursor = ConvCursor<kRows>;
  constexpr bool kFirst = kRow < Cursor::kHalf;
  constexpr int kInHalf = kFirst ? kRow : kRow - Cursor::kHalf;
  constexpr int kBase = kInHalf / Cursor::kStride + (kFirst ? 0 : Cursor::kHalfBases);
  return cursor.bases[kBase][kInHalf % Cursor::kStride * cursor.step + k];
}

template <int kRows>
HWY_INLINE void conv_advance(ConvCursor<kRows>& cursor, int terms) {
  conv_each<ConvCursor<kRows>::kBases>([&](auto b) BW_CONV_INLINE {
    cursor.bases[b] += terms;
    if constexpr (kRows > kConvFreeRows) keep_apart(cursor.bases[b]);
  });
}

// Adds the terms of one segment, in order.
template <class D, int kRows, int kVectors>
HWY_INLINE void conv_add_segment(D d, const ConvTile& tile, const ConvSegment& segment,
                                 ConvAhead& ahead, hn::Vec<D> (&sums)[kRows][kVectors]) {
  auto cursor = conv_cursor<kRows>(tile.inputs, tile.input_offset + segment.input_offset);
  const float* b = tile.weights + segment.weight_offset;
  const std::int64_t panel_stride = tile.panel_stride;
  // g++ 12 spills what it unrolls further.
  constexpr int kUnroll = kVectors > 2 ? 1 : kRows > kConvFreeRows ? 2 : 4;
  const auto step = [&](auto u) BW_CONV_INLINE {
    conv_add_terms<D>(
        sums, [&](auto r) BW_CONV_INLINE { return hn::Set(d, conv_term<r>(cursor, u)); },
        [&](auto v) BW_CONV_INLINE {
          return hn::Load(d, b + u * kConvPanel + conv_vector_offset<D>(v, panel_stride));
        });
  };
  std::int64_t k = 0;
  for (; k + kUnroll <= segment.length; k += kUnroll, b += kUnroll * kConvPanel) {
    conv_each<kUnroll>(step);
    conv_advance<kRows>(cursor, kUnroll);
    // A quarter of the lines that these terms read.
    ahead.fetch<(kUnroll * kVectors * kConvLanes<D> + 63) / 64>();
  }
  for (; k < segment.length; ++k, b += kConvPanel) {
    step(std::integral_constant<int, 0>());
    conv_advance<kRows>(cursor, 1);
  }
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

// The forward micro-kernel: one block of every sum.
template <class D, int kRows, int kVectors>
HWY_NOINLINE void conv_tile(const ConvTile& tile) {
  const D d;
  constexpr int kLanes = kConvLanes<D>;
  constexpr int kWidth = kVectors * kLanes;
  for (int r = 0; tile.is_last && r < kRows; ++r) {
    conv_prefetch_row<kWidth, true>(tile.y + tile.y_offsets[r]);
    if (tile.epilogue->residual == nullptr) continue;
    conv_prefetch_row<kWidth, false>(tile.epilogue->residual + tile.y_offsets[r]);
  }
  hn::Vec<D> sums[kRows][kVectors];
  conv_clear(d, sums);
  ConvAhead ahead{tile.ahead, tile.ahead_step};
  for (std::size_t i = 0; i < tile.num_segments; ++i) {
    conv_add_segment(d, tile, tile.segments[i], ahead, sums);
  }
  if (!tile.is_first) {
    conv_each_sum<kRows, kVectors>([&](auto r, auto v) BW_CONV_INLINE {
      const auto total = hn::Load(d, tile.totals + r * kWidth + v * kLanes);
      sums[r][v] = hn::Add(total, sums[r][v]);
    });
  }
  if (tile.is_last && tile.columns >= kWidth) return conv_store_sums(d, tile, sums);
  conv_each_sum<kRows, kVectors>([&](auto r, auto v) BW_CONV_INLINE {
    hn::Store(sums[r][v], d, tile.totals + r * kWidth + v * kLanes);
  });
  if (tile.is_last) conv_store_tile(d, tile.totals, kRows, kWidth, tile);
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // BATCHWISE_BACKEND_CPU_CONV_TILE_INL_H_

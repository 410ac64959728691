// SPDX-License-Identifier: Apache-2.0
// The micro-kernels: a tile of rows x vectors of C, one accumulator an element.
#if defined(BATCHWISE_BACKEND_CPU_DENSE_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_DENSE_TILE_INL_H_
#undef BATCHWISE_BACKEND_CPU_DENSE_TILE_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_DENSE_TILE_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "backend/cpu/dense.h"
#include "backend/cpu/fma-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

// Whether handing work to other threads costs more than it gives: below a microsecond of
// multiply-adds, unless the weights are many, as reading them is what takes the time then.
constexpr bool is_for_one_thread(std::int64_t m, std::int64_t k, std::int64_t n) {
  constexpr std::int64_t kMinTerms = 128 * 1024, kMinWeights = 64 * 1024;
  return m * k * n < kMinTerms && k * n < kMinWeights;
}

// `count` things in equal pieces of at most `most`: piece i begins at begin(i).
struct EvenPieces {
  std::int64_t count, pieces;
  EvenPieces(std::int64_t total, std::int64_t most)
      : count(total), pieces((total + most - 1) / most) {}
  std::int64_t begin(std::int64_t i) const {
    const std::int64_t each = count / pieces;
    const std::int64_t rest = count % pieces;
    return i * each + std::min(i, rest);
  }
};

// How the rows of a tile lie in A.
enum class Rows {
  kApart,   // element (r, k) at a[r * a_stride + k]
  kBeside,  // element (r, k) at a[k * a_stride + r]
  kStrip,   // element (r, k) at a[k * rows + r]
};

// One call of a micro-kernel. Pointers are at the tile's first row and column.
struct Tile {
  std::int64_t k;
  const float* a;
  std::int64_t a_stride;
  const float* b;             // aligned; row k at b + k * kPanelColumns
  std::int64_t panel_stride;  // from one panel of B to the next
  float* c;
  std::int64_t c_stride;
  std::int64_t columns;  // those that exist; the tile may be wider
  Epilogue epilogue;
};

template <class D>
inline constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
template <class D>
inline constexpr int kVectorsPerPanel = static_cast<int>(kPanelColumns) / kLanes<D>;
template <class D, int kVectors>
inline constexpr int kPanels = (kVectors + kVectorsPerPanel<D> - 1) / kVectorsPerPanel<D>;

// Panel rows that the weights are prefetched ahead, where that is asked for.
inline constexpr std::int64_t kPrefetchRows = 64;

// The places that a tile reads: one base for every three rows of A, because a base each would not
// fit the registers and the row between is reached by an index (base, base + stride, base + 2
// stride).
template <class D, int kRows, int kVectors>
struct Cursor {
  static constexpr int kBases = (kRows + 2) / 3;
  const float* a[kBases];
  std::int64_t a_stride;
  const float* b[kPanels<D, kVectors>];
};

template <class D, int kRows, int kVectors>
HWY_INLINE Cursor<D, kRows, kVectors> start_cursor(const Tile& tile, Rows rows) {
  Cursor<D, kRows, kVectors> cursor;
  cursor.a_stride = tile.a_stride;
  for (int i = 0; i < cursor.kBases; ++i) {
    cursor.a[i] = tile.a + (rows == Rows::kApart ? 3 * i * tile.a_stride : 0);
  }
  for (int i = 0; i < kPanels<D, kVectors>; ++i) cursor.b[i] = tile.b + i * tile.panel_stride;
  return cursor;
}

template <Rows kLayout, class D, int kRows, int kVectors>
HWY_INLINE hn::Vec<D> broadcast_a(D d, const Cursor<D, kRows, kVectors>& cursor, int row, int k) {
  if (kLayout == Rows::kBeside) return hn::Set(d, cursor.a[0][row]);
  if (kLayout == Rows::kStrip) return hn::Set(d, cursor.a[0][k * kRows + row]);
  return hn::Set(d, cursor.a[row / 3][row % 3 * cursor.a_stride + k]);
}

template <class D, int kRows, int kVectors>
HWY_INLINE hn::Vec<D> load_b(D d, const Cursor<D, kRows, kVectors>& cursor, int vector, int k) {
  constexpr int kPerPanel = kVectorsPerPanel<D>;
  return hn::Load(
      d, cursor.b[vector / kPerPanel] + k * kPanelColumns + vector % kPerPanel * kLanes<D>);
}

// Adds the terms of the k-th step after the cursor.
template <Rows kLayout, bool kPrefetch, class D, int kRows, int kVectors>
HWY_INLINE void add_terms(D d, Cursor<D, kRows, kVectors>& cursor, int k,
                          hn::Vec<D> (&sums)[kRows][kVectors]) {
  if (kPrefetch) {
#pragma GCC unroll 8
    for (int i = 0; i < kPanels<D, kVectors>; ++i) {
      __builtin_prefetch(cursor.b[i] + (k + kPrefetchRows) * kPanelColumns, 0, 3);
    }
  }
  if constexpr (kRows >= kVectors) {
    hn::Vec<D> b[kVectors];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      b[v] = load_b(d, cursor, v, k);
      keep_in_register(b[v]);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      auto a = broadcast_a<kLayout>(d, cursor, r, k);
      keep_in_register(a);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) multiply_add(sums[r][v], a, b[v]);
    }
  } else {
    hn::Vec<D> a[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      a[r] = broadcast_a<kLayout>(d, cursor, r, k);
      keep_in_register(a[r]);
    }
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      auto b = load_b(d, cursor, v, k);
      if (kRows > 1) keep_in_register(b);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) multiply_add(sums[r][v], a[r], b);
    }
  }
  if (kLayout == Rows::kBeside) {
    cursor.a[0] += cursor.a_stride;
    keep_apart(cursor.a[0]);
  }
}

template <Rows kLayout, class D, int kRows, int kVectors>
HWY_INLINE void advance(Cursor<D, kRows, kVectors>& cursor, int steps) {
  if (kLayout == Rows::kStrip) cursor.a[0] += steps * kRows;
  if (kLayout == Rows::kApart) {
#pragma GCC unroll 8
    for (int i = 0; i < cursor.kBases; ++i) {
      cursor.a[i] += steps;
      if (kRows > 3) keep_apart(cursor.a[i]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kPanels<D, kVectors>; ++i) cursor.b[i] += steps * kPanelColumns;
}

// One chain of `terms` fused multiply-adds for each element of the tile.
template <Rows kLayout, bool kPrefetch, class D, int kRows, int kVectors>
HWY_INLINE void add_chain(D d, std::int64_t terms, Cursor<D, kRows, kVectors>& cursor,
                          hn::Vec<D> (&sums)[kRows][kVectors]) {
#ifdef __clang__
  constexpr int kUnroll = 4;
#else
  constexpr int kUnroll = kVectors <= 2 ? 4 : 1;  // g++ 12 spills what it unrolls further
#endif
  std::int64_t i = 0;
  for (; i + kUnroll <= terms; i += kUnroll) {
#pragma GCC unroll 4
    for (int u = 0; u < kUnroll; ++u) add_terms<kLayout, kPrefetch>(d, cursor, u, sums);
    advance<kLayout>(cursor, kUnroll);
  }
  for (; i < terms; ++i) {
    add_terms<kLayout, kPrefetch>(d, cursor, 0, sums);
    advance<kLayout>(cursor, 1);
  }
}

// Applies the epilogue to sums [rows][row_floats] and stores the columns that exist.
template <Activation kActivation, class D>
void finish_rows(D d, const float* sums, int rows, int row_floats, const Tile& tile) {
  const Epilogue& epilogue = tile.epilogue;
  for (int column = 0; column < row_floats; column += kLanes<D>) {
    const std::int64_t count = std::min<std::int64_t>(tile.columns - column, kLanes<D>);
    if (count <= 0) break;
    const bool whole = count == kLanes<D>;
    auto load = [&](const float* from)
                    HWY_ATTR { return whole ? hn::LoadU(d, from) : load_first(d, from, count); };
    const auto bias = epilogue.bias != nullptr ? load(epilogue.bias + column) : hn::Zero(d);
    for (int r = 0; r < rows; ++r) {
      auto x = hn::LoadU(d, sums + r * row_floats + column);
      if (epilogue.bias != nullptr) x = hn::Add(x, bias);
      if (epilogue.residual != nullptr) {
        x = hn::Add(x, load(epilogue.residual + r * epilogue.residual_stride + column));
      }
      x = activate<kActivation>(d, x, epilogue);
      float* to = tile.c + r * tile.c_stride + column;
      whole ? hn::StoreU(x, d, to) : store_first(d, x, to, count);
    }
  }
}

template <class D>
HWY_NOINLINE void finish_tile(D d, const float* sums, int rows, int row_floats, const Tile& tile) {
  switch (tile.epilogue.activation) {
    case Activation::kNone:
      return finish_rows<Activation::kNone>(d, sums, rows, row_floats, tile);
    case Activation::kRelu:
      return finish_rows<Activation::kRelu>(d, sums, rows, row_floats, tile);
    case Activation::kLeakyRelu:
      return finish_rows<Activation::kLeakyRelu>(d, sums, rows, row_floats, tile);
    case Activation::kClip:
      return finish_rows<Activation::kClip>(d, sums, rows, row_floats, tile);
  }
}

// Blocks of the sum that are under way at a time: a small tile has too few chains of its own to
// hide the latency of a multiply-add. The sums of blocks are still added in order.
constexpr int blocks_at_a_time(int rows, int vectors) {
  return rows * vectors <= 2 ? 4 : rows * vectors <= 4 ? 2 : 1;
}

template <class D, int kRows, int kVectors>
HWY_INLINE void set_zero(D d, hn::Vec<D> (&sums)[kRows][kVectors]) {
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(d);
  }
}

// Stores the sums of `count` whole blocks from term `first` on, [block][rows][vectors]. Each block
// is treated as further rows of the tile, with their own places in A and B. Where there are fewer
// than kBlocks, the first is summed again, and not used.
template <class D, int kRows, int kVectors, int kBlocks>
HWY_NOINLINE void sum_whole_blocks(const Tile& tile, std::int64_t first, int count,
                                   float* block_sums) {
  const D d;
  constexpr int kPerPanel = kVectorsPerPanel<D>;
  const float* a[kBlocks * kRows];
  const float* b[kBlocks * kRows];
  hn::Vec<D> sums[kBlocks * kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kBlocks * kRows; ++r) {
    const int block = r / kRows < count ? r / kRows : 0;
    const std::int64_t term = first + block * kSumBlock;
    a[r] = tile.a + r % kRows * tile.a_stride + term;
    b[r] = tile.b + term * kPanelColumns;
  }
  set_zero(d, sums);
  for (std::int64_t k = 0; k < kSumBlock; ++k) {
#pragma GCC unroll 16
    for (int r = 0; r < kBlocks * kRows; ++r) {
      const auto x = hn::Set(d, a[r][k]);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        const float* from = b[r] + v / kPerPanel * tile.panel_stride + k * kPanelColumns;
        multiply_add(sums[r][v], x, hn::Load(d, from + v % kPerPanel * kLanes<D>));
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kBlocks * kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      hn::Store(sums[r][v], d, block_sums + (r * kVectors + v) * kLanes<D>);
    }
  }
}

template <class D, int kRows, int kVectors>
HWY_INLINE void add_to_totals(D d, hn::Vec<D> (&sums)[kRows][kVectors], bool first, float* totals) {
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      float* total = totals + (r * kVectors + v) * kLanes<D>;
      if (!first) sums[r][v] = hn::Add(hn::Load(d, total), sums[r][v]);
      hn::Store(sums[r][v], d, total);
    }
  }
}

// The forward micro-kernel. Sums of blocks are kept on the stack: that is a load, an addition and
// a store for every 256 multiply-adds.
template <Rows kLayout, bool kPrefetch, class D, int kRows, int kVectors>
HWY_NOINLINE void forward_tile(const Tile& tile) {
  const D d;
  constexpr int kBlocks = blocks_at_a_time(kRows, kVectors);
  constexpr int kRowFloats = kVectors * kLanes<D>;
  alignas(64) float totals[kRows * kRowFloats];
  auto cursor = start_cursor<D, kRows, kVectors>(tile, kLayout);
  if (kRows > 3) {
    for (int r = 0; r < kRows; ++r) __builtin_prefetch(tile.c + r * tile.c_stride, 1, 3);
  }
  std::int64_t done = 0;
  if constexpr (kBlocks > 1) {
    while (tile.k - done >= 2 * kSumBlock) {
      const auto blocks =
          static_cast<int>(std::min<std::int64_t>((tile.k - done) / kSumBlock, kBlocks));
      constexpr int kTileFloats = kRows * kRowFloats;
      alignas(64) float block_sums[kBlocks * kTileFloats];
      sum_whole_blocks<D, kRows, kVectors, kBlocks>(tile, done, blocks, block_sums);
      for (int i = 0; i < blocks; ++i) {
        for (int j = 0; j < kTileFloats; j += kLanes<D>) {
          auto sum = hn::Load(d, block_sums + i * kTileFloats + j);
          if (done + i > 0) sum = hn::Add(hn::Load(d, totals + j), sum);
          hn::Store(sum, d, totals + j);
        }
      }
      done += blocks * kSumBlock;
    }
    for (auto& place : cursor.a) place += done;
    for (auto& place : cursor.b) place += done * kPanelColumns;
  }
  while (done < tile.k || done == 0) {
    const std::int64_t terms = std::min(tile.k - done, kSumBlock);
    hn::Vec<D> sums[kRows][kVectors];
    set_zero(d, sums);
    add_chain<kLayout, kPrefetch>(d, terms, cursor, sums);
    add_to_totals(d, sums, done == 0, totals);
    if (tile.k == 0) break;
    done += terms;
  }
  finish_tile(d, totals, kRows, kRowFloats, tile);
}

using TileFunction = void (*)(const Tile&);

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // BATCHWISE_BACKEND_CPU_DENSE_TILE_INL_H_

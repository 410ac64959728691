// SPDX-License-Identifier: Apache-2.0
// Few columns: vectors run across rows of A, which is transposed in registers, a vector of rows by
// four. The sum of each element is the same chain as everywhere.
#if defined(BATCHWISE_BACKEND_CPU_DENSE_NARROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_DENSE_NARROW_INL_H_
#undef BATCHWISE_BACKEND_CPU_DENSE_NARROW_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_DENSE_NARROW_INL_H_
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "backend/cpu/dense_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

inline constexpr int kMaxNarrowColumns = 12;

template <class D>
constexpr bool is_narrow(std::int64_t n) {
  return kLanes<D> >= 8 && n <= kMaxNarrowColumns;
}

// How many vectors of rows are summed at a time, so that chains enough are under way.
constexpr int narrow_groups(std::int64_t n) { return n <= 2 ? 4 : n <= 4 ? 2 : 1; }

// Four floats each of rows 0, 4, ... , one after the other.
template <class D>
HWY_INLINE hn::Vec<D> load_every_fourth_row(D d, const float* rows, std::int64_t stride) {
  if constexpr (kLanes<D> == 4) {
    return hn::LoadU(d, rows);
  } else {
    const hn::Half<D> half;
    const auto low = load_every_fourth_row(half, rows, stride);
    const auto high = load_every_fourth_row(half, rows + kLanes<D> / 2 * stride, stride);
    return hn::Combine(d, high, low);
  }
}

// Transposes four rows within each block of four lanes: in each block, columns[i] = element i of
// the block of all four.
template <class D>
HWY_INLINE void transpose_in_blocks(D d, const hn::Vec<D> (&rows)[4], hn::Vec<D> (&columns)[4]) {
  const hn::Repartition<double, D> pairs;
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, rows[0], rows[1]));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, rows[0], rows[1]));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, rows[2], rows[3]));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, rows[2], rows[3]));
  columns[0] = hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23));
  columns[1] = hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23));
  columns[2] = hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23));
  columns[3] = hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23));
}

// columns[i] = element i of all rows.
template <class D>
HWY_INLINE void load_transposed(D d, const float* rows, std::int64_t stride,
                                hn::Vec<D> (&columns)[4]) {
  const hn::Vec<D> parts[4] = {load_every_fourth_row(d, rows, stride),
                               load_every_fourth_row(d, rows + stride, stride),
                               load_every_fourth_row(d, rows + 2 * stride, stride),
                               load_every_fourth_row(d, rows + 3 * stride, stride)};
  transpose_in_blocks(d, parts, columns);
}

// The same for 16 elements of 16 rows: each line of memory is loaded once, whole.
template <class D>
HWY_INLINE void load_transposed(D d, const float* rows, std::int64_t stride,
                                hn::Vec<D> (&columns)[16]) {
  static_assert(kLanes<D> == 16);
  hn::Vec<D> quads[4][4];  // block b of quads[q][i]: element 4 b + i of rows 4 q to 4 q + 3
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) {
    const hn::Vec<D> quad[4] = {hn::LoadU(d, rows), hn::LoadU(d, rows + stride),
                                hn::LoadU(d, rows + 2 * stride), hn::LoadU(d, rows + 3 * stride)};
    transpose_in_blocks(d, quad, quads[q]);
    rows += 4 * stride;
    keep_apart(rows);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const auto a = quads[0][i], b = quads[1][i], c = quads[2][i], e = quads[3][i];
    const auto even_ab = hn::OddEvenBlocks(hn::SwapAdjacentBlocks(b), a);
    const auto odd_ab = hn::OddEvenBlocks(b, hn::SwapAdjacentBlocks(a));
    const auto even_ce = hn::OddEvenBlocks(hn::SwapAdjacentBlocks(e), c);
    const auto odd_ce = hn::OddEvenBlocks(e, hn::SwapAdjacentBlocks(c));
    columns[i] = hn::ConcatLowerLower(d, even_ce, even_ab);
    columns[4 + i] = hn::ConcatLowerLower(d, odd_ce, odd_ab);
    columns[8 + i] = hn::ConcatUpperUpper(d, even_ce, even_ab);
    columns[12 + i] = hn::ConcatUpperUpper(d, odd_ce, odd_ab);
  }
}

// Rows that vectors run across: element (row, k) at data[row * stride + k], k < terms.
struct NarrowRows {
  const float* data;
  std::int64_t stride, terms;
};

// The few vectors that they are multiplied by: element (k, n) at data[k * term_stride + n *
// column_stride].
struct NarrowFactor {
  const float* data;
  std::int64_t term_stride, column_stride;
};

template <class D, int kColumns>
HWY_INLINE void add_narrow_terms(D d, const NarrowFactor& b, std::int64_t k, hn::Vec<D> a,
                                 hn::Vec<D> (&sums)[kColumns]) {
#pragma GCC unroll 16
  for (int n = 0; n < kColumns; ++n) {
    multiply_add(sums[n], a, hn::Set(d, b.data[k * b.term_stride + n * b.column_stride]));
  }
}

// One chain over `terms` values of k, for kGroups vectors of rows.
template <bool kPrefetch, class D, int kColumns, int kGroups>
HWY_INLINE void add_narrow_chain(D d, const NarrowRows& a, const NarrowFactor& b,
                                 hn::Vec<D> (&sums)[kGroups][kColumns]) {
  constexpr int kVisit = 16;  // a whole cache line of each row
  constexpr int kLinesAhead = 8;
  // Elements transposed together: as many as there are registers for.
  constexpr int kTransposed = kLanes<D> == 16 ? 16 : 4;
  const std::int64_t group_stride = kLanes<D> * a.stride;
  std::int64_t k = 0;
  for (; k + kVisit <= a.terms; k += kVisit) {
#pragma GCC unroll 4
    for (int group = 0; group < kGroups; ++group) {
      const float* rows = a.data + group * group_stride + k;
      keep_apart(rows);
      if (kPrefetch) {
        const float* ahead = rows + kLinesAhead * kVisit;
#pragma GCC unroll 16
        for (int i = 0; i < kLanes<D>; ++i, ahead += a.stride) {
          __builtin_prefetch(ahead, 0, 2);
          keep_apart(ahead);
        }
      }
#pragma GCC unroll 4
      for (int part = 0; part < kVisit; part += kTransposed) {
        hn::Vec<D> columns[kTransposed];
        load_transposed(d, rows + part, a.stride, columns);
#pragma GCC unroll 16
        for (int u = 0; u < kTransposed; ++u) {
          add_narrow_terms(d, b, k + part + u, columns[u], sums[group]);
        }
      }
    }
  }
  for (; k < a.terms; ++k) {
    for (int group = 0; group < kGroups; ++group) {
      alignas(64) float column[kLanes<D>];
      const float* rows = a.data + group * group_stride + k;
      for (int i = 0; i < kLanes<D>; ++i) column[i] = rows[i * a.stride];
      add_narrow_terms(d, b, k, hn::Load(d, column), sums[group]);
    }
  }
}

// The sums over k, by blocks: totals[group][column] has those of a vector of rows.
template <class D, int kColumns, int kGroups, bool kPrefetch>
HWY_INLINE void sum_narrow(const NarrowRows& a, const NarrowFactor& b,
                           float (*totals)[kColumns][kLanes<D>]) {
  const D d;
  std::int64_t done = 0;
  do {
    const std::int64_t terms = std::min(a.terms - done, kSumBlock);
    hn::Vec<D> sums[kGroups][kColumns];
    for (auto& group : sums) {
      for (auto& sum : group) sum = hn::Zero(d);
    }
    add_narrow_chain<kPrefetch>(d, {a.data + done, a.stride, terms},
                                {b.data + done * b.term_stride, b.term_stride, b.column_stride},
                                sums);
#pragma GCC unroll 4
    for (int group = 0; group < kGroups; ++group) {
#pragma GCC unroll 16
      for (int n = 0; n < kColumns; ++n) {
        float* total = totals[group][n];
        if (done != 0) sums[group][n] = hn::Add(hn::Load(d, total), sums[group][n]);
        hn::Store(sums[group][n], d, total);
      }
    }
    done += terms;
  } while (done < a.terms);
}

#if HWY_TARGET <= HWY_AVX2
template <class D, int kColumns, int kGroups>
HWY_NOINLINE void narrow_tile(const Tile& tile) {
  const D d;
  alignas(64) float totals[kGroups][kColumns][kLanes<D>];
  sum_narrow<D, kColumns, kGroups, false>({tile.a, tile.a_stride, tile.k},
                                          {tile.b, kPanelColumns, 1}, totals);
  // Back to rows, for the common end.
  constexpr int kRows = kGroups * kLanes<D>;
  alignas(64) float rows[kRows][kPanelColumns];
  for (int r = 0; r < kRows; ++r) {
    for (int n = 0; n < kColumns; ++n) rows[r][n] = totals[r / kLanes<D>][n][r % kLanes<D>];
  }
  finish_tile(d, rows[0], kRows, kPanelColumns, tile);
}

template <class D, int... kIndex>
constexpr std::array<TileFunction, sizeof...(kIndex)> make_narrow_table(
    std::integer_sequence<int, kIndex...>) {
  return {&narrow_tile<D, kIndex + 1, 1>...};
}

template <class D, int... kIndex>
constexpr std::array<TileFunction, sizeof...(kIndex)> make_narrow_group_table(
    std::integer_sequence<int, kIndex...>) {
  return {&narrow_tile<D, kIndex + 1, narrow_groups(kIndex + 1)>...};
}
#endif  // HWY_TARGET <= HWY_AVX2

// Does whole vectors of rows and returns the first row that it left.
template <class D>
std::int64_t narrow_forward(const DenseJob& job, std::int64_t row, std::int64_t row_end) {
#if HWY_TARGET <= HWY_AVX2
  if constexpr (kLanes<D> >= 8) {
    static constexpr auto kOne =
        make_narrow_table<D>(std::make_integer_sequence<int, kMaxNarrowColumns>());
    static constexpr auto kGroups =
        make_narrow_group_table<D>(std::make_integer_sequence<int, 4>());
    const auto index = static_cast<std::size_t>(job.n - 1);
    const std::int64_t group_rows = narrow_groups(job.n) * kLanes<D>;
    Tile tile{};
    tile.k = job.k;
    tile.a_stride = job.a_stride;
    tile.b = job.packed_b;
    tile.c_stride = job.c_stride;
    tile.columns = job.n;
    while (row + kLanes<D> <= row_end) {
      const bool in_groups = job.n <= 4 && row + group_rows <= row_end;
      tile.a = job.a + row * job.a_stride;
      tile.c = job.c + row * job.c_stride;
      tile.epilogue = job.epilogue;
      if (tile.epilogue.residual != nullptr) {
        tile.epilogue.residual += row * tile.epilogue.residual_stride;
      }
      (in_groups ? kGroups[index] : kOne[index])(tile);
      row += in_groups ? group_rows : kLanes<D>;
    }
  }
#endif
  (void)job;
  (void)row_end;
  return row;
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // BATCHWISE_BACKEND_CPU_DENSE_NARROW_INL_H_

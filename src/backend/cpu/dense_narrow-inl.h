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

// columns[i] = element i of all rows.
template <class D>
HWY_INLINE void load_transposed(D d, const float* rows, std::int64_t stride,
                                hn::Vec<D> (&columns)[4]) {
  const hn::Repartition<double, D> pairs;
  const auto row0 = load_every_fourth_row(d, rows, stride);
  const auto row1 = load_every_fourth_row(d, rows + stride, stride);
  const auto row2 = load_every_fourth_row(d, rows + 2 * stride, stride);
  const auto row3 = load_every_fourth_row(d, rows + 3 * stride, stride);
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, row0, row1));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, row0, row1));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, row2, row3));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, row2, row3));
  columns[0] = hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23));
  columns[1] = hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23));
  columns[2] = hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23));
  columns[3] = hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23));
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
  const std::int64_t group_stride = kLanes<D> * a.stride;
  std::int64_t k = 0;
  for (; k + kVisit <= a.terms; k += kVisit) {
#pragma GCC unroll 4
    for (int group = 0; group < kGroups; ++group) {
      const float* rows = a.data + group * group_stride + k;
      std::int64_t stride = a.stride;
      alignas(64) float copy[kLanes<D> * kVisit];
      if (kPrefetch) {
        for (int i = 0; i < kLanes<D>; ++i) {
          __builtin_prefetch(rows + i * a.stride + kLinesAhead * kVisit, 0, 2);
        }
      }
      if (kLanes < D >> 12 && a.stride % 256 == 0) {
        // So many lines would fall on a few sets of the first cache and push each other out.
        const hn::CappedTag<float, kVisit> line;
        for (int i = 0; i < kLanes<D>; ++i) {
          for (int j = 0; j < kVisit; j += kLanes<decltype(line)>) {
            hn::Store(hn::LoadU(line, rows + i * a.stride + j), line, copy + i * kVisit + j);
          }
        }
        rows = copy;
        stride = kVisit;
      }
#pragma GCC unroll 4
      for (int part = 0; part < kVisit; part += 4) {
        hn::Vec<D> columns[4];
        load_transposed(d, rows + part, stride, columns);
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u) {
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

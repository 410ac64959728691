// SPDX-License-Identifier: Apache-2.0
// Few columns: vectors run across rows of A, which is transposed in registers, eight rows by eight.
// The sum of each element is the same chain as everywhere.
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

// A 512-bit tile takes up to 16 columns in one vector and is the faster one from 5 columns on.
template <class D>
constexpr bool is_narrow(std::int64_t n) {
  return kLanes<D> == 8 ? n <= kMaxNarrowColumns : kLanes<D> == 16 && n <= 4;
}

#if HWY_TARGET <= HWY_AVX2
using D8 = hn::CappedTag<float, 8>;
using V8 = hn::Vec<D8>;

// columns[i] = element i of eight rows.
HWY_INLINE void load_transposed(const float* rows, std::int64_t stride, V8 (&columns)[8]) {
  const D8 d;
  const hn::Half<D8> half;
  const hn::Repartition<double, D8> pairs;
  V8 r[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const float* low = rows + i * stride;
    const float* high = rows + (i + 4) * stride;
    r[i] = hn::Combine(d, hn::LoadU(half, high), hn::LoadU(half, low));
    r[i + 4] = hn::Combine(d, hn::LoadU(half, high + 4), hn::LoadU(half, low + 4));
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, r[i], r[i + 1]));
    const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, r[i], r[i + 1]));
    const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, r[i + 2], r[i + 3]));
    const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, r[i + 2], r[i + 3]));
    columns[i] = hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23));
    columns[i + 1] = hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23));
    columns[i + 2] = hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23));
    columns[i + 3] = hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23));
  }
}

template <int kColumns, int kGroups>
HWY_INLINE void add_narrow_terms(const float* b, int group, V8 a, V8 (&sums)[kGroups][kColumns]) {
  const D8 d;
#pragma GCC unroll 16
  for (int n = 0; n < kColumns; ++n) multiply_add(sums[group][n], a, hn::Set(d, b[n]));
}

// One chain over `terms` values of k, for 8 * kGroups rows.
template <int kColumns, int kGroups>
HWY_INLINE void add_narrow_chain(const float* a, std::int64_t a_stride, const float* b,
                                 std::int64_t terms, V8 (&sums)[kGroups][kColumns]) {
  constexpr int kVisit =
      kGroups > 1 ? 16 : 8;  // a whole cache line of each row, where rows are many
  std::int64_t k = 0;
  for (; k + kVisit <= terms; k += kVisit) {
#pragma GCC unroll 4
    for (int group = 0; group < kGroups; ++group) {
#pragma GCC unroll 2
      for (int half = 0; half < kVisit; half += 8) {
        V8 columns[8];
        load_transposed(a + group * 8 * a_stride + k + half, a_stride, columns);
#pragma GCC unroll 8
        for (int u = 0; u < 8; ++u) {
          add_narrow_terms(b + (k + half + u) * kPanelColumns, group, columns[u], sums);
        }
      }
    }
  }
  for (; k < terms; ++k) {
    for (int group = 0; group < kGroups; ++group) {
      alignas(32) float column[8];
      for (int i = 0; i < 8; ++i) column[i] = a[(group * 8 + i) * a_stride + k];
      add_narrow_terms(b + k * kPanelColumns, group, hn::Load(D8(), column), sums);
    }
  }
}

template <int kColumns, int kGroups>
HWY_NOINLINE void narrow_tile(const Tile& tile) {
  const D8 d;
  alignas(64) float totals[kGroups][kColumns][8];
  std::int64_t done = 0;
  do {
    const std::int64_t terms = std::min(tile.k - done, kSumBlock);
    V8 sums[kGroups][kColumns];
    for (auto& group : sums) {
      for (V8& sum : group) sum = hn::Zero(d);
    }
    add_narrow_chain(tile.a + done, tile.a_stride, tile.b + done * kPanelColumns, terms, sums);
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
  } while (done < tile.k);
  // Back to rows of 16 floats, for the common end.
  alignas(64) float rows[kGroups * 8][kPanelColumns];
  for (int r = 0; r < kGroups * 8; ++r) {
    for (int n = 0; n < kColumns; ++n) rows[r][n] = totals[r / 8][n][r % 8];
  }
  finish_tile(d, rows[0], kGroups * 8, kPanelColumns, tile);
}

template <int kGroups, int... kColumns>
constexpr std::array<TileFunction, sizeof...(kColumns)> make_narrow_table(
    std::integer_sequence<int, kColumns...>) {
  return {&narrow_tile<kColumns + 1, kGroups>...};
}
#endif  // HWY_TARGET <= HWY_AVX2

// Does whole groups of eight rows and returns the first row that it left.
template <class D>
std::int64_t narrow_forward(const DenseJob& job, std::int64_t row, std::int64_t row_end) {
#if HWY_TARGET <= HWY_AVX2
  static constexpr auto kOneGroup =
      make_narrow_table<1>(std::make_integer_sequence<int, kMaxNarrowColumns>());
  static constexpr auto kTwoGroups = make_narrow_table<2>(std::make_integer_sequence<int, 4>());
  const auto index = static_cast<std::size_t>(job.n - 1);
  Tile tile{};
  tile.k = job.k;
  tile.a_stride = job.a_stride;
  tile.b = job.packed_b;
  tile.c_stride = job.c_stride;
  tile.columns = job.n;
  while (row + 8 <= row_end) {
    const bool two = job.n <= 4 && row + 16 <= row_end;
    tile.a = job.a + row * job.a_stride;
    tile.c = job.c + row * job.c_stride;
    tile.epilogue = job.epilogue;
    if (tile.epilogue.residual != nullptr) {
      tile.epilogue.residual += row * tile.epilogue.residual_stride;
    }
    (two ? kTwoGroups[index] : kOneGroup[index])(tile);
    row += two ? 16 : 8;
  }
#else
  (void)job;
  (void)row_end;
#endif
  return row;
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // BATCHWISE_BACKEND_CPU_DENSE_NARROW_INL_H_

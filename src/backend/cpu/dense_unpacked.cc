// SPDX-License-Identifier: Apache-2.0
// A few rows of A by a B that lies as it is, row-major or transposed: each weight is read once from
// memory and nothing is packed. The sums are the chains of dense.h.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/dense_unpacked.cc"
#include <hwy/foreach_target.h>
// Behind foreach_target.h, which sets the target.
#include "backend/cpu/dense_narrow-inl.h"
#include "backend/cpu/vector_width.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

// Rows of B that pass over the columns together: streams enough to read at full speed, and few
// enough that the elements of A they meet stay in registers.
inline constexpr int kTermsAtOnce = 4;
// Rows of A whose sums are in registers together.
inline constexpr int kRowsAtOnce = 8;
// Sums that a thread has under way: they stay in the first cache.
inline constexpr std::int64_t kUnpackedSums = 2048;

// Where the panel that begins at `column` is read: the last one of a matrix of other than whole
// panels overlaps the one before.
inline std::int64_t panel_place(std::int64_t n, std::int64_t column) {
  return std::min(column, n - kPanelColumns);
}

// The sums of columns [begin, end) of all rows: element (row, column) at sums[row * stride + column
// - begin].
struct ColumnSums {
  std::int64_t begin, end, stride;
  float* sums;
};

// Adds kTerms terms, from `term` on, to the sums of kRows rows from `row` on.
template <class D, int kRows, int kTerms>
HWY_NOINLINE void add_rows_of_b(const DenseJob& job, std::int64_t row, std::int64_t term,
                                const ColumnSums& to) {
  const D d;
  // Copies, because a store to the sums might else change them.
  const std::int64_t n = job.n, stride = to.stride, end = to.end;
  const float* const b = job.b + term * n;
  const bool is_first = row == 0;
  float* sums = to.sums + row * stride;
  // Beside each other, so that one register reaches them all.
  float a[kTerms][kRows];
  for (int r = 0; r < kRows; ++r) {
    for (int t = 0; t < kTerms; ++t) a[t][r] = job.a[(row + r) * job.a_stride + term + t];
  }
  for (std::int64_t column = to.begin; column < end; column += kPanelColumns) {
    const float* from = b + panel_place(n, column);
    if (is_first) {
#pragma GCC unroll 8
      for (int t = 0; t < kTerms; ++t) __builtin_prefetch(from + (kTerms + t) * n, 0, 3);
    }
#pragma GCC unroll 4
    for (int v = 0; v < kPanelColumns; v += kLanes<D>, from += kLanes<D>, sums += kLanes<D>) {
      hn::Vec<D> sum[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sum[r] = hn::Load(d, sums + r * stride);
#pragma GCC unroll 8
      for (int t = 0; t < kTerms; ++t) {
        auto weights = hn::LoadU(d, from + t * n);
        if (kRows > 1) keep_in_register(weights);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) multiply_add(sum[r], hn::Set(d, a[t][r]), weights);
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) hn::Store(sum[r], d, sums + r * stride);
    }
  }
}

using AddFunction = void (*)(const DenseJob&, std::int64_t row, std::int64_t term,
                             const ColumnSums&);

template <class D, int kTerms, int... kIndex>
AddFunction add_function(std::int64_t rows, std::integer_sequence<int, kIndex...>) {
  static constexpr AddFunction kTable[] = {&add_rows_of_b<D, kIndex + 1, kTerms>...};
  return kTable[rows - 1];
}

// Adds kTerms terms to the sums of all rows, while these rows of B are in the first cache.
template <class D, int kTerms>
void add_to_all_rows(const DenseJob& job, std::int64_t term, const ColumnSums& to) {
  const EvenPieces pieces(job.m, kRowsAtOnce);
  for (std::int64_t i = 0; i < pieces.pieces; ++i) {
    const std::int64_t row = pieces.begin(i);
    add_function<D, kTerms>(pieces.begin(i + 1) - row,
                            std::make_integer_sequence<int, kRowsAtOnce>())(job, row, term, to);
  }
}

// Applies the epilogue to sums [rows][row_floats] whose first column is `column` of C, and stores
// `columns` of them.
template <class D>
void finish_columns(D d, const DenseJob& job, const float* sums, int rows, int row_floats,
                    std::int64_t column, std::int64_t columns) {
  Tile tile{};
  tile.c = job.c + column;
  tile.c_stride = job.c_stride;
  tile.columns = columns;
  tile.epilogue = job.epilogue;
  if (tile.epilogue.bias != nullptr) tile.epilogue.bias += column;
  if (tile.epilogue.residual != nullptr) tile.epilogue.residual += column;
  finish_tile(d, sums, rows, row_floats, tile);
}

// The sum of the terms of one block, from zero.
template <class D>
void sum_block(const DenseJob& job, std::int64_t term, const ColumnSums& to) {
  for (std::int64_t r = 0; r < job.m; ++r) {
    std::fill_n(to.sums + r * to.stride, to.stride, 0.0f);
  }
  const std::int64_t end = std::min(term + kSumBlock, job.k);
  for (; term + kTermsAtOnce <= end; term += kTermsAtOnce) {
    add_to_all_rows<D, kTermsAtOnce>(job, term, to);
  }
  for (; term < end; ++term) add_to_all_rows<D, 1>(job, term, to);
}

// Columns [begin, end) of C for a B that lies as rows. Requires: (end - begin), rounded up to whole
// panels, times job.m is at most kUnpackedSums.
template <class D>
void sum_columns(const DenseJob& job, std::int64_t begin, std::int64_t end) {
  const D d;
  // Behind the sums, what a vector at the end of the last row reads.
  alignas(64) float totals[kUnpackedSums + kPanelColumns], block[kUnpackedSums];
  const std::int64_t whole = (end - begin) / kPanelColumns * kPanelColumns;
  const std::int64_t stride = whole + (begin + whole < end ? kPanelColumns : 0);
  sum_block<D>(job, 0, {begin, end, stride, totals});
  for (std::int64_t done = kSumBlock; done < job.k; done += kSumBlock) {
    sum_block<D>(job, done, {begin, end, stride, block});
    for (std::int64_t i = 0; i < job.m * stride; i += kLanes<D>) {
      hn::Store(hn::Add(hn::Load(d, totals + i), hn::Load(d, block + i)), d, totals + i);
    }
  }
  const auto rows = static_cast<int>(job.m), row_floats = static_cast<int>(stride);
  finish_columns(d, job, totals, rows, row_floats, begin, whole);
  if (begin + whole < end) {
    const std::int64_t column = begin + whole;
    const std::int64_t shift = column - panel_place(job.n, column);
    finish_columns(d, job, totals + whole + shift, rows, row_floats, column, end - column);
  }
}

template <class D>
void sum_range(const DenseJob& job, std::int64_t begin, std::int64_t end) {
  const std::int64_t columns = kUnpackedSums / job.m / kPanelColumns * kPanelColumns;
  for (; begin < end; begin += columns) {
    sum_columns<D>(job, begin, std::min(begin + columns, end));
  }
}

// kGroups vectors of columns of C from `column` on, for a transposed B: vectors run across its
// rows, which are transposed in registers, as for few columns. They are read from `place` on, so
// that none lies behind the last.
template <class D, int kRows, int kGroups>
HWY_NOINLINE void sum_transposed_columns(const DenseJob& job, std::int64_t column,
                                         std::int64_t place) {
  const D d;
  alignas(64) float totals[kGroups + 1][kRows][kLanes<D>];
  sum_narrow<D, kRows, kGroups, true>({job.b + place * job.k, job.k, job.k},
                                      {job.a, 1, job.a_stride}, totals);
  const std::int64_t shift = column - place;
  for (int group = 0; group < kGroups; ++group) {
    finish_columns(d, job, totals[group][0] + shift, kRows, kLanes<D>, column + group * kLanes<D>,
                   kLanes<D> - shift);
  }
}

// Columns [begin, end) of at most kRowsAtOnce rows.
template <class D, int kRows>
void sum_transposed_range(const DenseJob& job, std::int64_t begin, std::int64_t end) {
  constexpr int kGroups = kRows <= 2 ? 2 : 1;  // chains enough to hide their latency
  std::int64_t column = begin;
  for (; column + kGroups * kLanes<D> <= end; column += kGroups * kLanes<D>) {
    sum_transposed_columns<D, kRows, kGroups>(job, column, column);
  }
  for (; column < end; column += kLanes<D>) {
    sum_transposed_columns<D, kRows, 1>(job, column, std::min(column, job.n - kLanes<D>));
  }
}

using RangeFunction = void (*)(const DenseJob&, std::int64_t begin, std::int64_t end);

template <class D, int... kIndex>
RangeFunction transposed_function(std::int64_t rows, std::integer_sequence<int, kIndex...>) {
  static constexpr RangeFunction kTable[] = {&sum_transposed_range<D, kIndex + 1>...};
  return kTable[rows - 1];
}

// Rows of A pass a few at a time over so many columns that their weights stay in the second cache.
template <class D>
void sum_transposed(const DenseJob& job, std::int64_t begin, std::int64_t end) {
  const EvenPieces pieces(job.m, kRowsAtOnce);
  const std::int64_t columns = pieces.pieces > 1 ? 4 * kPanelColumns : end - begin;
  for (; begin < end; begin += columns) {
    for (std::int64_t i = 0; i < pieces.pieces; ++i) {
      const std::int64_t row = pieces.begin(i);
      DenseJob part = job;
      part.m = pieces.begin(i + 1) - row;
      part.a += row * job.a_stride;
      part.c += row * job.c_stride;
      if (part.epilogue.residual != nullptr) {
        part.epilogue.residual += row * job.epilogue.residual_stride;
      }
      transposed_function<D>(part.m, std::make_integer_sequence<int, kRowsAtOnce>())(
          part, begin, std::min(begin + columns, end));
    }
  }
}

// Threads split the columns.
template <class D>
void unpacked_with(const DenseJob& job, ThreadPool& pool) {
  if (job.m == 0) return;
  const RangeFunction run = job.transposed_b ? &sum_transposed<D> : &sum_range<D>;
  const int threads = pool.threads();
  if (threads == 1 || is_for_one_thread(job.m, job.k, job.n)) return run(job, 0, job.n);
  pool.run([&](int part) {
    const PartRange columns = part_range(job.n, part, threads, kPanelColumns);
    if (columns.begin < columns.end) run(job, columns.begin, columns.end);
  });
}

void unpacked_on_target(const DenseJob& job, ThreadPool& pool) {
#if HWY_TARGET == HWY_AVX2
  if (uses_narrow_vectors()) return unpacked_with<hn::CappedTag<float, 4>>(job, pool);
#endif
  unpacked_with<hn::ScalableTag<float>>(job, pool);
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {

HWY_EXPORT(unpacked_on_target);

bool dense_takes_unpacked(std::int64_t m, std::int64_t n) {
  return m <= kMaxUnpackedRows && n >= kPanelColumns;
}

void dense_forward_unpacked(const DenseJob& job, ThreadPool& pool) {
  HWY_DYNAMIC_DISPATCH(unpacked_on_target)(job, pool);
}

}  // namespace batchwise::cpu
#endif  // HWY_ONCE

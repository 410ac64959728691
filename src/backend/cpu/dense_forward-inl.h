// SPDX-License-Identifier: Apache-2.0
// Cuts a range of C into tiles. Only rows and columns are cut, so nothing here changes a bit.
#if defined(BATCHWISE_BACKEND_CPU_DENSE_FORWARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_DENSE_FORWARD_INL_H_
#undef BATCHWISE_BACKEND_CPU_DENSE_FORWARD_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_DENSE_FORWARD_INL_H_
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "backend/cpu/dense_narrow-inl.h"
#include "backend/cpu/dense_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

// The tallest tile: 14 x 2 vectors fill 32 registers, 6 x 2 fill 16.
template <class D>
inline constexpr int kMaxRows = kLanes<D> == 16 ? 14 : 6;

// The widest tile of so many rows: accumulators enough to hide the latency of the multiply-add, and
// for few rows enough streams to read the weights at full speed.
template <class D>
constexpr int max_vectors(int rows) {
  if (kLanes<D> == 4) return 2;
  if (kLanes<D> == 8) return rows == 1 ? 8 : rows <= 3 ? 4 : 2;
  return rows <= 2 ? 8 : rows <= 6 ? 4 : 2;
}

// Micro-kernels by rows and by the logarithm of vectors; null where the tile would not fit.
using TileTable = std::array<TileFunction, 4>;

template <class D, bool kPrefetch, int kRows, int kLog>
constexpr TileFunction tile_function() {
  if constexpr (kRows == 0 || (1 << kLog) > max_vectors<D>(kRows)) {
    return nullptr;
  } else {
    return &forward_tile<Rows::kApart, kPrefetch, D, kRows, 1 << kLog>;
  }
}

template <class D, bool kPrefetch, int... kRows>
constexpr std::array<TileTable, sizeof...(kRows)> make_tile_tables(
    std::integer_sequence<int, kRows...>) {
  return {TileTable{
      tile_function<D, kPrefetch, kRows, 0>(), tile_function<D, kPrefetch, kRows, 1>(),
      tile_function<D, kPrefetch, kRows, 2>(), tile_function<D, kPrefetch, kRows, 3>()}...};
}

template <class D, bool kPrefetch>
inline constexpr auto kTileTables =
    make_tile_tables<D, kPrefetch>(std::make_integer_sequence<int, kMaxRows<D> + 1>());

struct Range {
  std::int64_t row_begin, row_end, column_begin, column_end;
};

template <class D>
class ForwardRange {
 public:
  ForwardRange(const DenseJob& job, const Range& range) : job_(job), range_(range) {}

  void run() const {
    Range rest = range_;
    if (is_narrow<D>(job_.n)) {
      rest.row_begin = narrow_forward<D>(job_, rest.row_begin, rest.row_end);
    }
    const std::int64_t rows = rest.row_end - rest.row_begin;
    if (rows <= 0) return;
    if (is_tall(rows)) return rows_outer(rest);
    columns_outer(rest);
  }

 private:
  // All weights fit the first two caches beside a tile's rows: A is read once, from wherever it is.
  bool is_tall(std::int64_t rows) const {
    return rows >= 64 && job_.k * job_.n <= 64 * 1024 && job_.n <= 8 * kPanelColumns;
  }

  void rows_outer(const Range& range) const {
    const EvenPieces tiles(range.row_end - range.row_begin, kMaxRows<D>);
    for (std::int64_t i = 0; i < tiles.pieces; ++i) {
      const std::int64_t row = range.row_begin + tiles.begin(i);
      const std::int64_t next = range.row_begin + tiles.begin(i + 1);
      if (i + 1 < tiles.pieces) prefetch_rows(next, tiles.begin(i + 2) - tiles.begin(i + 1));
      const int rows = static_cast<int>(next - row);
      for (std::int64_t column = range.column_begin; column < range.column_end;) {
        const int log = step_log(rows, column, range.column_end);
        call(row, rows, column, log, false);
        column += kLanes<D> << log;
      }
    }
  }

  void prefetch_rows(std::int64_t row, std::int64_t rows) const {
    for (std::int64_t r = row; r < row + rows; ++r) {
      const float* a = job_.a + r * job_.a_stride;
      for (std::int64_t k = 0; k < std::min<std::int64_t>(job_.k, 64); k += kPanelColumns) {
        __builtin_prefetch(a + k, 0, 3);
      }
    }
  }

  // A block of rows stays in the second cache while all columns pass; a panel stays there while all
  // tiles of the block pass.
  void columns_outer(const Range& range) const {
    const bool from_memory = job_.k * job_.n > (1 << 20) && range.row_end - range.row_begin >= 4;
    const EvenPieces blocks(range.row_end - range.row_begin, 192 / kMaxRows<D> * kMaxRows<D>);
    for (std::int64_t block = 0; block < blocks.pieces; ++block) {
      const std::int64_t row = range.row_begin + blocks.begin(block);
      const EvenPieces tiles(blocks.begin(block + 1) - blocks.begin(block), kMaxRows<D>);
      const int most_rows = static_cast<int>(tiles.begin(1));
      for (std::int64_t column = range.column_begin; column < range.column_end;) {
        const int log = step_log(most_rows, column, range.column_end);
        for (std::int64_t i = 0; i < tiles.pieces; ++i) {
          const int rows = static_cast<int>(tiles.begin(i + 1) - tiles.begin(i));
          call(row + tiles.begin(i), rows, column, log, from_memory && i == 0);
        }
        column += kLanes<D> << log;
      }
    }
  }

  // The widest step that is allowed for these rows and not wider than what is left.
  static int step_log(int rows, std::int64_t column, std::int64_t column_end) {
    const std::int64_t vectors = (column_end - column + kLanes<D> - 1) / kLanes<D>;
    int log = 3;
    while ((1 << log) > max_vectors<D>(rows) || (1 << log) > vectors) --log;
    return log;
  }

  void call(std::int64_t row, int rows, std::int64_t column, int log, bool prefetch) const {
    Tile tile;
    tile.k = job_.k;
    tile.a = job_.a + row * job_.a_stride;
    tile.a_stride = job_.a_stride;
    tile.panel_stride = job_.k * kPanelColumns;
    tile.b = job_.packed_b + column / kPanelColumns * tile.panel_stride + column % kPanelColumns;
    tile.c = job_.c + row * job_.c_stride + column;
    tile.c_stride = job_.c_stride;
    tile.columns = job_.n - column;
    tile.epilogue = job_.epilogue;
    if (tile.epilogue.bias != nullptr) tile.epilogue.bias += column;
    if (tile.epilogue.residual != nullptr) {
      tile.epilogue.residual += row * tile.epilogue.residual_stride + column;
    }
    const auto& tables = prefetch ? kTileTables<D, true> : kTileTables<D, false>;
    tables[static_cast<std::size_t>(rows)][static_cast<std::size_t>(log)](tile);
  }

  const DenseJob& job_;
  const Range range_;
};

// Threads split columns where there are more of them than rows, and panels enough; else rows.
template <class D>
void dense_forward_with(const DenseJob& job, ThreadPool& pool, float* /*scratch*/) {
  const int threads = pool.threads();
  if (threads == 1 || is_for_one_thread(job.m, job.k, job.n)) {
    return ForwardRange<D>(job, {0, job.m, 0, job.n}).run();
  }
  const std::int64_t panels = (job.n + kPanelColumns - 1) / kPanelColumns;
  const bool by_columns = job.m < 2 || (job.m < job.n && panels >= 4 * threads);
  pool.run([&](int part) {
    if (by_columns) {
      const PartRange columns = part_range(job.n, part, threads, kPanelColumns);
      ForwardRange<D>(job, {0, job.m, columns.begin, columns.end}).run();
    } else {
      const std::int64_t unit = job.m >= 4 * threads * kMaxRows<D> ? kMaxRows<D> : 1;
      const PartRange rows = part_range(job.m, part, threads, unit);
      ForwardRange<D>(job, {rows.begin, rows.end, 0, job.n}).run();
    }
  });
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // BATCHWISE_BACKEND_CPU_DENSE_FORWARD_INL_H_

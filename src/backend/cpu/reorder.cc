// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/reorder.h"

#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "backend/cpu/parallel_range.h"

namespace batchwise::cpu {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Both sides of a block are whole cache lines.
constexpr std::int64_t kBlock = 16;
// Columns of a strip: several lines of each row, so that rows far apart are fetched ahead.
constexpr std::int64_t kStrip = 64;

// A matrix and its transpose, by the floats between rows.
struct Matrices {
  const float* from;
  std::int64_t from_stride;
  float* to;
  std::int64_t to_stride;
};

// Four rows by four columns. 128-bit vectors are enough: it is bound by memory.
void transpose_4x4(const Matrices& m, std::int64_t row, std::int64_t column) {
  const hn::CappedTag<float, 4> d;
  const float* from = m.from + row * m.from_stride + column;
  const auto r0 = hn::LoadU(d, from);
  const auto r1 = hn::LoadU(d, from + m.from_stride);
  const auto r2 = hn::LoadU(d, from + 2 * m.from_stride);
  const auto r3 = hn::LoadU(d, from + 3 * m.from_stride);
  const auto even_low = hn::InterleaveLower(d, r0, r2);
  const auto odd_low = hn::InterleaveLower(d, r1, r3);
  const auto even_high = hn::InterleaveUpper(d, r0, r2);
  const auto odd_high = hn::InterleaveUpper(d, r1, r3);
  float* to = m.to + column * m.to_stride + row;
  hn::StoreU(hn::InterleaveLower(d, even_low, odd_low), d, to);
  hn::StoreU(hn::InterleaveUpper(d, even_low, odd_low), d, to + m.to_stride);
  hn::StoreU(hn::InterleaveLower(d, even_high, odd_high), d, to + 2 * m.to_stride);
  hn::StoreU(hn::InterleaveUpper(d, even_high, odd_high), d, to + 3 * m.to_stride);
}

void transpose_elements(const Matrices& m, std::int64_t row, std::int64_t row_end,
                        std::int64_t column, std::int64_t column_end) {
  for (std::int64_t c = column; c < column_end; ++c) {
    for (std::int64_t r = row; r < row_end; ++r) {
      m.to[c * m.to_stride + r] = m.from[r * m.from_stride + c];
    }
  }
}

void transpose_block(const Matrices& m, std::int64_t row, std::int64_t row_end, std::int64_t column,
                     std::int64_t column_end) {
  const std::int64_t whole_rows = row + (row_end - row) / 4 * 4;
  const std::int64_t whole_columns = column + (column_end - column) / 4 * 4;
  for (std::int64_t c = column; c < whole_columns; c += 4) {
    for (std::int64_t r = row; r < whole_rows; r += 4) transpose_4x4(m, r, c);
  }
  transpose_elements(m, whole_rows, row_end, column, whole_columns);
  transpose_elements(m, row, row_end, whole_columns, column_end);
}

void transpose_strip(const Matrices& m, std::int64_t rows, std::int64_t column,
                     std::int64_t column_end) {
  for (std::int64_t row = 0; row < rows; row += kBlock) {
    for (std::int64_t c = column; c < column_end; c += kBlock) {
      transpose_block(m, row, std::min(row + kBlock, rows), c, std::min(c + kBlock, column_end));
    }
  }
}

}  // namespace

void copy_floats(const float* from, std::int64_t count, float* to, ThreadPool& pool) {
  for_each_range(&pool, count, 1, kRangeUnit, [&](std::int64_t begin, std::int64_t end) {
    std::memcpy(to + begin, from + begin, static_cast<std::size_t>(end - begin) * sizeof(float));
  });
}

void transpose_matrices(const float* from, std::int64_t batch, std::int64_t rows,
                        std::int64_t columns, float* to, ThreadPool& pool) {
  if (rows == 0 || columns == 0 || batch == 0) return;
  if (rows == 1 || columns == 1) return copy_floats(from, batch * rows * columns, to, pool);
  // Strips of columns of one matrix: each is written as whole rows of its transpose.
  const std::int64_t strips = (columns + kStrip - 1) / kStrip;
  for_each_range(&pool, batch * strips, rows * kStrip, 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t strip = begin; strip < end; ++strip) {
                     const std::int64_t offset = strip / strips * rows * columns;
                     const Matrices m{from + offset, columns, to + offset, rows};
                     const std::int64_t column = strip % strips * kStrip;
                     transpose_strip(m, rows, column, std::min(column + kStrip, columns));
                   }
                 });
}

}  // namespace batchwise::cpu

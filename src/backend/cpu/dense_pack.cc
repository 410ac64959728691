// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "backend/cpu/dense.h"

namespace batchwise::cpu {
namespace {

// Rows of B lie apart, columns beside each other: a panel's row is a copy.
void pack_from_rows(const float* b, std::int64_t k, std::int64_t row_stride, std::int64_t columns,
                    float* panel) {
  for (std::int64_t i = 0; i < k; ++i, b += row_stride, panel += kPanelColumns) {
    if (columns == kPanelColumns) {
      std::memcpy(panel, b, kPanelColumns * sizeof(float));
    } else {
      std::memcpy(panel, b, static_cast<std::size_t>(columns) * sizeof(float));
      std::fill(panel + columns, panel + kPanelColumns, 0.0f);
    }
  }
}

// Any strides, such as those of a transposed matrix: by blocks of 16 x 16, so that a cache line of
// either side is used whole while it is there.
void pack_from_columns(const float* b, std::int64_t k, std::int64_t row_stride,
                       std::int64_t column_stride, std::int64_t columns, float* panel) {
  constexpr std::int64_t kRowsAtOnce = 16;
  for (std::int64_t begin = 0; begin < k; begin += kRowsAtOnce) {
    const std::int64_t rows = std::min(kRowsAtOnce, k - begin);
    float* to = panel + begin * kPanelColumns;
    const float* from = b + begin * row_stride;
    for (std::int64_t column = 0; column < columns; ++column) {
      for (std::int64_t i = 0; i < rows; ++i) {
        to[i * kPanelColumns + column] = from[i * row_stride + column * column_stride];
      }
    }
    for (std::int64_t i = 0; i < rows; ++i) {
      std::fill(to + i * kPanelColumns + columns, to + (i + 1) * kPanelColumns, 0.0f);
    }
  }
}

}  // namespace

std::size_t packed_matrix_floats(std::int64_t k, std::int64_t n) {
  const std::int64_t panels = (n + kPanelColumns - 1) / kPanelColumns;
  return static_cast<std::size_t>(panels * k * kPanelColumns);
}

void pack_matrix(const float* b, std::int64_t k, std::int64_t n, std::int64_t row_stride,
                 std::int64_t column_stride, float* packed, ThreadPool& pool) {
  pool.run([&](int part) {
    const PartRange range = part_range(n, part, pool.threads(), kPanelColumns);
    for (std::int64_t column = range.begin; column < range.end; column += kPanelColumns) {
      const std::int64_t columns = std::min(kPanelColumns, n - column);
      const float* from = b + column * column_stride;
      float* panel = packed + column * k;
      if (column_stride == 1) {
        pack_from_rows(from, k, row_stride, columns, panel);
      } else {
        pack_from_columns(from, k, row_stride, column_stride, columns, panel);
      }
    }
  });
}

}  // namespace batchwise::cpu

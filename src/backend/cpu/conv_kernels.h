// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "backend/cpu/epilogue.h"

namespace batchwise::cpu {

// Columns of a packed panel of weights: one cache line a row, whatever the vector width.
inline constexpr std::int64_t kConvPanel = 16;
// Rows of the largest tile of any instruction set.
inline constexpr int kConvMaxRows = 14;

// Terms that lie side by side in the input, within one block of the sum. The list of segments is
// the order of summation: each block starts from zero, and block sums are added in order.
struct ConvSegment {
  std::int64_t input_offset;   // floats from where an output position begins to read
  std::int64_t weight_offset;  // floats from the panel's begin
  std::int32_t length;         // terms
  bool ends_block;
};

// One block of the sums of a register tile: `rows` output positions by some vectors of output
// channels. Of more than ConvKernels::free_rows rows, the first half (rounded up) and the second
// each read in equal steps, the same in both.
struct ConvTile {
  const float* const* inputs;   // [rows]: where each begins to read
  std::int64_t input_offset;    // floats from there to the group's first channel
  const ConvSegment* segments;  // of the block
  std::size_t num_segments;
  bool is_first, is_last;  // block of the sums; the last one is followed by the epilogue
  float* totals;           // [rows][columns of the tile]: the sums of blocks until then
  const float* weights;    // of the first column
  std::int64_t panel_stride;
  std::int64_t columns;  // that exist; may be less than the tile is wide
  float* y;              // of the first column
  const std::int64_t* y_offsets;
  const Epilogue* epilogue;  // its bias and residual are of the first column, as y is
  // What later tiles will read: a line of it is fetched for every four of weights.
  const float* ahead;
  std::int64_t ahead_step;  // 16, or 0 for nothing
};

// One register tile of a weight gradient: sum = (add ? sum : 0) + x^T dy over `height` x `width`
// positions.
struct ConvGradientTile {
  const float* x;
  const float* dy;
  std::int64_t height, width;
  std::int64_t x_step, x_row_step, dy_step, dy_row_step;
  float* sum;
  std::int64_t sum_stride;
  bool add;
};

// Output positions of one row of a depthwise pass, all channels. Segments are of one term.
struct ConvDepthwiseRow {
  const float* const* inputs;  // [position][tap]
  const ConvSegment* segments;
  std::int64_t num_segments;
  const float* weights;  // [tap][channels]
  std::int64_t positions, channels;
  float* y;
  std::int64_t y_step;
  const Epilogue* epilogue;  // its residual is of the first position, as y is
};

// sum[c] = (add ? sum[c] : 0) + the sum over height x width positions of x[c] * dy[c].
struct ConvDepthwiseGradient {
  const float* x;
  const float* dy;
  std::int64_t height, width;
  std::int64_t x_step, x_row_step, dy_step, dy_row_step;
  std::int64_t channels;
  float* sum;
  bool add;
};

// What one instruction set offers. Tiles of up to max_rows rows are 1 or 2 vectors wide, of up to
// max_wide_rows rows also 4. Tiles of up to free_rows rows may read anywhere.
struct ConvKernels {
  int lanes;
  int max_rows, max_wide_rows, free_rows;
  void (*tile[3][kConvMaxRows + 1])(const ConvTile&);  // by log2 of the vectors, by rows
  void (*gradient_tile[2][kConvMaxRows + 1])(const ConvGradientTile&);
  void (*depthwise_row)(const ConvDepthwiseRow&);
  void (*depthwise_gradient)(const ConvDepthwiseGradient&);
  // sums[c] = (add ? sums[c] : 0) + the sum of x[p][c] over positions, in order.
  void (*column_sums)(const float* x, std::int64_t positions, std::int64_t step,
                      std::int64_t channels, float* sums, bool add);
};

// Those of the instruction set in use (isa.h).
const ConvKernels& conv_kernels();

}  // namespace batchwise::cpu

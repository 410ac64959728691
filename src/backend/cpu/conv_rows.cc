// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/conv_rows.h"

#include <algorithm>

#include "backend/cpu/conv_strip.h"
#include "base/thread_pool.h"

namespace batchwise::cpu {
namespace {

constexpr std::int64_t kAlignment = 64;
constexpr std::int64_t kTileBytes = sizeof(ConvTileCut);
// With fewer rows of the output than this for each thread, rows are cut too.
constexpr std::int64_t kMinLinesForThread = 4;

constexpr std::int64_t divide_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit;
}
constexpr std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return divide_up(value, unit) * unit;
}

// The size of the first of the fewest parts, each of at most `most`, as equal as can be.
std::int64_t first_of_equal(std::int64_t count, std::int64_t most) {
  return divide_up(count, divide_up(count, most));
}

// Rows of the output next to each other in one sample, of which some columns are wanted.
struct Lines {
  std::int64_t sample, first, count;
};

// Where output row `first` of some lines reads, its column 0.
const float* source_of(const ConvPass& pass, const ConvPhase& phase, const float* x,
                       const Lines& lines, std::int64_t first_column, float*& padded) {
  const float* sample = x + lines.sample * pass.in_h * pass.in_w * pass.in_channels;
  const std::int64_t h = lines.first * phase.in_step_h + phase.low_h;
  if (!phase.is_padded) return sample + h * phase.row_floats + phase.low_w * pass.in_channels;
  // Rows above and below are not read.
  const std::int64_t begin = std::clamp<std::int64_t>(h, 0, pass.in_h);
  const std::int64_t rows = (lines.count - 1) * phase.in_step_h + phase.reach_h;
  const std::int64_t end = std::clamp(h + rows, begin, pass.in_h);
  const PaddedCopy copy{pass.in_h, pass.in_w, pass.in_channels};
  float* to = padded;
  padded += (end - begin) * phase.row_floats;
  const std::int64_t skipped = first_column * phase.in_step_w;
  copy.fill(sample, begin, end - begin, phase.low_w + skipped, phase.row_floats / pass.in_channels,
            to);
  return to - (begin - h) * phase.row_floats - skipped * pass.in_channels;
}

void cut_tiles(const ConvCut& cut, ConvRange range, ConvBlock& block) {
  block.num_tiles = 0;
  while (range.begin < range.end) {
    const ConvTileCut tile = cut.first_tile(range);
    block.tiles[block.num_tiles++] = tile;
    range.begin += tile.rows;
  }
}

// Positions of one row of the output.
struct Line {
  std::int64_t sample, i, column, count;
};

// Writes where the positions of a line read, whose column 0 begins at `source`, and write.
void point_line(const ConvPass& pass, const ConvPhase& phase, const float* source, Line line,
                ConvBlock& at) {
  const std::int64_t step = phase.in_step_w * pass.in_channels;
  const std::int64_t y_step = phase.out_step_w * pass.out_channels;
  const std::int64_t h = phase.out_first_h + line.i * phase.out_step_h;
  const std::int64_t row = (line.sample * pass.out_h + h) * pass.out_w + phase.out_first_w;
  std::int64_t y = row * pass.out_channels + line.column * y_step;
  source += line.column * step;
  for (std::int64_t j = 0; j < line.count; ++j, source += step, y += y_step) {
    *at.inputs++ = source;
    *at.y_offsets++ = y;
  }
}

std::int64_t most_rows(const ConvPass& pass) {
  std::int64_t rows = 1;
  for (const auto& phase : pass.phases) rows = std::max(rows, phase.block_rows);
  return rows;
}

}  // namespace

ConvCut::ConvCut(const ConvPass& pass, const ConvPhase& phase)
    : phase_(phase),
      max_rows_(pass.kernels->max_rows),
      width_(phase.rows_w),
      line_(phase.rows_w),
      pairs_lines_(false),
      block_rows_(phase.block_rows) {
  const std::int64_t free_rows = pass.kernels->free_rows;
  if (max_rows_ <= free_rows || phase.is_even) {
    line_ = INT64_MAX;
  } else if (2 * width_ <= free_rows) {
    line_ = INT64_MAX;
    max_rows_ = free_rows;
  } else {
    pairs_lines_ = 2 * width_ <= max_rows_;
  }
}

ConvRange ConvCut::part(std::int64_t positions, int part, int threads) const {
  const std::int64_t lines = positions / width_;
  const std::int64_t unit = pairs_lines_                           ? 2 * width_
                            : lines < kMinLinesForThread * threads ? max_rows_
                                                                   : width_;
  const PartRange range = part_range(positions, part, threads, unit);
  return {range.begin, range.end};
}

std::int64_t ConvCut::block_end(ConvRange range) const {
  const std::int64_t line_end = (range.begin / width_ + 1) * width_;
  if (width_ > block_rows_ && phase_.is_padded) range.end = std::min(range.end, line_end);
  const std::int64_t count = range.end - range.begin;
  if (count <= block_rows_) return range.end;
  // Blocks of whole lines where they are short, else of whole tiles.
  const std::int64_t wanted = range.begin + first_of_equal(count, block_rows_);
  const std::int64_t unit = pairs_lines_ ? 2 * width_ : width_;
  const std::int64_t above = round_up(wanted, unit);
  if (above - range.begin <= block_rows_) return std::min(above, range.end);
  const std::int64_t below = wanted / unit * unit;
  if (below > range.begin) return below;
  return range.begin + block_rows_ / max_rows_ * max_rows_;
}

ConvTileCut ConvCut::first_tile(ConvRange range) const {
  const std::int64_t line = range.begin / width_;
  const std::int64_t column = range.begin % width_;
  const std::int64_t i = line % phase_.rows_h;
  const auto at = static_cast<std::size_t>(i);
  std::int64_t count = range.end - range.begin;
  // Rows of one class; where all are of one, samples follow each other too.
  const std::int64_t end = phase_.class_ends[at];
  const bool wraps = phase_.class_ends[0] == phase_.rows_h;
  if (!wraps) count = std::min(count, (end - i) * width_ - column);
  const bool pairs = pairs_lines_ && column == 0 && count >= 2 * width_;
  if (line_ != INT64_MAX && !pairs) count = std::min(count, width_ - column);
  const std::int64_t rows = pairs ? 2 * width_ : first_of_equal(count, max_rows_);
  return {static_cast<std::uint16_t>(rows), phase_.row_classes[at]};
}

std::int64_t conv_block_bytes(const ConvPass& pass) {
  std::int64_t padded = 0;
  for (const auto& phase : pass.phases) padded = std::max(padded, phase.padded_floats);
  const std::int64_t rows = most_rows(pass);
  return 2 * round_up(rows * 8, kAlignment) + round_up(rows * kTileBytes, kAlignment) +
         rows * kConvTotals * 4 + round_up(padded * 4, kAlignment);
}

ConvBlock conv_block(const ConvPass& pass, void* memory) {
  const std::int64_t rows = most_rows(pass);
  auto* inputs = static_cast<std::byte*>(memory);
  auto* offsets = inputs + round_up(rows * 8, kAlignment);
  auto* tiles = offsets + round_up(rows * 8, kAlignment);
  auto* totals = tiles + round_up(rows * kTileBytes, kAlignment);
  auto* padded = totals + rows * kConvTotals * 4;
  return {reinterpret_cast<const float**>(inputs), reinterpret_cast<std::int64_t*>(offsets),
          reinterpret_cast<ConvTileCut*>(tiles),   0,
          reinterpret_cast<float*>(totals),        reinterpret_cast<float*>(padded)};
}

void fill_conv_block(const ConvPass& pass, const ConvPhase& phase, const ConvCut& cut,
                     const float* x, ConvRange range, ConvBlock& block) {
  cut_tiles(cut, range, block);
  ConvBlock at = block;
  const std::int64_t end_line = (range.end - 1) / phase.rows_w + 1;
  std::int64_t left = range.end - range.begin;
  std::int64_t column = range.begin % phase.rows_w;
  for (std::int64_t line = range.begin / phase.rows_w; line < end_line;) {
    Lines lines{line / phase.rows_h, line % phase.rows_h, 0};
    lines.count = std::min(end_line - line, phase.rows_h - lines.first);
    const std::int64_t skipped = phase.rows_w > phase.block_rows ? column : 0;
    const float* source = source_of(pass, phase, x, lines, skipped, at.padded);
    for (std::int64_t i = lines.first; i < lines.first + lines.count; ++i) {
      const std::int64_t count = std::min(phase.rows_w - column, left);
      point_line(pass, phase, source, {lines.sample, i, column, count}, at);
      left -= count;
      column = 0;
      source += phase.in_step_h * phase.row_floats;
    }
    line += lines.count;
  }
}

}  // namespace batchwise::cpu

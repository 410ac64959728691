// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/conv_gradient.h"

#include <algorithm>

#include "backend/cpu/conv_depthwise_gradient.h"
#include "backend/cpu/conv_gradient_blocks.h"
#include "backend/cpu/conv_strip.h"
#include "base/check.h"

namespace batchwise::cpu {
namespace {

constexpr std::int64_t kAlignment = 64;
// Sums of a sample that a thread keeps while it goes over the blocks: they stay in the second
// cache.
constexpr std::int64_t kSumFloats = 32 * 1024;

constexpr std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// A gradient as a matrix: rows are (group, tap, input channel), columns output channels. With
// padded rows a tap is a row of the kernel, and its channels are those of all its positions.
struct Matrix {
  std::int64_t taps, tap_rows, rows, columns, stride;
};
Matrix matrix_of(const ConvShape& s, bool padded_rows) {
  Matrix m{};
  m.taps = padded_rows ? s.kernel_h : s.taps();
  m.tap_rows = padded_rows ? s.kernel_w * s.in_channels : s.group_in();
  m.rows = s.groups * m.taps * m.tap_rows;
  m.columns = s.group_out();
  m.stride = round_up(m.columns, kConvPanel);
  return m;
}

// The register tiles over the rows of one tap, as equal as can be.
struct RowTiles {
  std::int64_t count, base, larger;

  RowTiles(std::int64_t rows, std::int64_t most)
      : count((rows + most - 1) / most), base(rows / count), larger(rows % count) {}
  std::int64_t first(std::int64_t tile) const { return tile * base + std::min(tile, larger); }
  std::int64_t rows(std::int64_t tile) const { return base + (tile < larger ? 1 : 0); }
};

struct Layout {
  std::int64_t sum_floats, tail_floats, strip_floats;

  explicit Layout(const ConvWeightGradient& gradient) {
    const ConvShape& s = gradient.shape;
    const Matrix m = matrix_of(s, gradient.padded_rows);
    const PositionBlocks blocks(s);
    sum_floats = blocks.count() > 1
                     ? round_up(std::max(kSumFloats, kConvMaxRows * m.stride), kAlignment)
                     : 0;
    tail_floats = m.columns % kConvPanel != 0 ? PositionBlocks::kPositions * kConvPanel : 0;
    strip_floats =
        gradient.padded_rows ? round_up(conv_strip(s).floats(blocks.rows()), kAlignment) : 0;
  }
  std::int64_t floats() const { return sum_floats + tail_floats + strip_floats; }
};

// What one thread computes: row tiles [begin_tile, end_tile) by columns [begin_column, end_column).
class Part {
 public:
  Part(const ConvWeightGradient& gradient, const float* x, const float* dy, float* dw,
       bool accumulate, float* scratch)
      : s_(gradient.shape),
        kernels_(*gradient.kernels),
        padded_rows_(gradient.padded_rows),
        matrix_(matrix_of(s_, padded_rows_)),
        tiles_(matrix_.tap_rows, kernels_.max_rows),
        blocks_(s_),
        x_(x),
        dy_(dy),
        dw_(dw),
        accumulate_(accumulate) {
    const Layout layout(gradient);
    sums_ = scratch;
    tail_ = sums_ + layout.sum_floats;
    strip_ = tail_ + layout.tail_floats;
  }

  std::int64_t tiles() const { return s_.groups * matrix_.taps * tiles_.count; }
  std::int64_t columns() const { return matrix_.stride; }

  void run(AxisRange tiles, AxisRange columns) {
    if (tiles.count() <= 0 || columns.count() <= 0) return;
    columns_ = columns;
    const bool one_block = blocks_.count() == 1;
    const std::int64_t rows = one_block ? matrix_.rows : kSumFloats / matrix_.stride;
    const std::int64_t chunk = std::max<std::int64_t>(rows / tiles_.rows(0), 1);
    for (std::int64_t tile = tiles.begin; tile < tiles.end; tile += chunk) {
      const AxisRange part{tile, std::min(tile + chunk, tiles.end)};
      for (std::int64_t sample = 0; sample < s_.batch; ++sample) {
        const bool add = accumulate_ || sample > 0;
        if (one_block) {
          run_block(part, sample, 0, dw_ + first_row(tile) * matrix_.stride, add);
          continue;
        }
        for (std::int64_t block = 0; block < blocks_.count(); ++block) {
          run_block(part, sample, block, sums_, block > 0);
        }
        add_sums(part, add);
      }
    }
    if (s_.batch == 0 && !accumulate_) clear(tiles);
  }

 private:
  std::int64_t first_row(std::int64_t tile) const {
    return tile / tiles_.count * matrix_.tap_rows + tiles_.first(tile % tiles_.count);
  }

  void run_block(AxisRange tiles, std::int64_t sample, std::int64_t index, float* sums, bool add) {
    const PositionBlock block = blocks_.block(index);
    if (padded_rows_) {
      const ConvStrip strip = conv_strip(s_);
      const std::int64_t rows = block.h_end - block.h_begin;
      strip.fill(x_ + sample * s_.in_positions() * s_.in_channels, block.h_begin, rows, strip_);
    }
    std::int64_t packed_group = -1;
    for (std::int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
      const std::int64_t group = tile / (tiles_.count * matrix_.taps);
      if (group != packed_group) pack_tail(block, sample, group);
      packed_group = group;
      float* to = sums + (first_row(tile) - first_row(tiles.begin)) * matrix_.stride;
      run_tile(block, sample, tile, to, add);
    }
  }

  // Copies the output channels behind the last whole panel, so that vectors may run over their end.
  void pack_tail(const PositionBlock& block, std::int64_t sample, std::int64_t group) {
    const std::int64_t whole = matrix_.columns / kConvPanel * kConvPanel;
    const std::int64_t count = matrix_.columns - whole;
    if (count == 0 || columns_.end <= whole) return;
    float* to = tail_;
    for (std::int64_t h = block.h_begin; h < block.h_end; ++h) {
      const float* from = dy_at(sample, group, h, block.w_begin) + whole;
      for (std::int64_t w = 0; w < block.width(); ++w) {
        std::fill(std::copy_n(from, count, to), to + kConvPanel, 0.0f);
        from += s_.out_channels;
        to += kConvPanel;
      }
    }
  }

  const float* dy_at(std::int64_t sample, std::int64_t group, std::int64_t h,
                     std::int64_t w) const {
    return dy_ + ((sample * s_.out_height + h) * s_.out_width + w) * s_.out_channels +
           group * s_.group_out();
  }

  // The positions of a block that one tap sees, and where they lie in x.
  ConvGradientTile see_tap(const PositionBlock& block, std::int64_t sample, std::int64_t group,
                           std::int64_t tap, AxisRange& h, AxisRange& w) const {
    ConvGradientTile see{};
    if (padded_rows_) {
      const ConvStrip strip = conv_strip(s_);
      h = {block.h_begin, block.h_end};
      w = {block.w_begin, block.w_end};
      see.x_row_step = s_.stride_h * strip.width * s_.in_channels;
      see.x = strip_ + (tap * s_.dilation_h * strip.width + w.begin * s_.stride_w) * s_.in_channels;
    } else {
      const std::int64_t dh = tap / s_.kernel_w * s_.dilation_h - s_.pad_top;
      const std::int64_t dw = tap % s_.kernel_w * s_.dilation_w - s_.pad_left;
      h = inside_range(block.h_begin, block.h_end, s_.stride_h, dh, s_.in_height);
      w = inside_range(block.w_begin, block.w_end, s_.stride_w, dw, s_.in_width);
      see.x_row_step = s_.stride_h * s_.in_width * s_.in_channels;
      if (h.count() > 0 && w.count() > 0) {
        const std::int64_t row = sample * s_.in_height + h.begin * s_.stride_h + dh;
        see.x = x_ + (row * s_.in_width + w.begin * s_.stride_w + dw) * s_.in_channels +
                group * s_.group_in();
      }
    }
    see.height = w.count() > 0 ? h.count() : 0;
    see.width = w.count();
    see.x_step = s_.stride_w * s_.in_channels;
    return see;
  }

  void run_tile(const PositionBlock& block, std::int64_t sample, std::int64_t tile, float* sums,
                bool add) const {
    const std::int64_t group = tile / (tiles_.count * matrix_.taps);
    const std::int64_t tap = tile / tiles_.count % matrix_.taps;
    const std::int64_t in_tap = tile % tiles_.count;
    AxisRange h{}, w{};
    ConvGradientTile job = see_tap(block, sample, group, tap, h, w);
    if (job.height > 0) job.x += tiles_.first(in_tap);
    job.sum_stride = matrix_.stride;
    job.add = add;
    const std::int64_t whole = matrix_.columns / kConvPanel * kConvPanel;
    const float* dy = job.height > 0 ? dy_at(sample, group, h.begin, w.begin) : dy_;
    const std::int64_t tail_row = (h.begin - block.h_begin) * block.width();
    const std::int64_t tail_begin = (tail_row + w.begin - block.w_begin) * kConvPanel;
    for (std::int64_t column = columns_.begin; column < columns_.end;) {
      const bool in_tail = column >= whole;
      const std::int64_t left = (in_tail ? columns_.end : std::min(whole, columns_.end)) - column;
      job.dy = in_tail ? tail_ + (tail_begin + column - whole) : dy + column;
      job.dy_step = in_tail ? kConvPanel : s_.out_channels;
      job.dy_row_step = job.dy_step * (in_tail ? block.width() : s_.out_width);
      job.sum = sums + column;
      const int log = left >= 2 * kernels_.lanes ? 1 : 0;
      kernels_.gradient_tile[log][tiles_.rows(in_tap)](job);
      column += kernels_.lanes << log;
    }
  }

  void add_sums(AxisRange tiles, bool add) const {
    const std::int64_t first = first_row(tiles.begin);
    const std::int64_t last =
        first_row(tiles.end - 1) + tiles_.rows((tiles.end - 1) % tiles_.count);
    for (std::int64_t row = first; row < last; ++row) {
      float* to = dw_ + row * matrix_.stride;
      const float* from = sums_ + (row - first) * matrix_.stride;
      for (std::int64_t c = columns_.begin; c < columns_.end; ++c) {
        to[c] = (add ? to[c] : 0.0f) + from[c];
      }
    }
  }

  void clear(AxisRange tiles) const {
    const std::int64_t last =
        first_row(tiles.end - 1) + tiles_.rows((tiles.end - 1) % tiles_.count);
    for (std::int64_t row = first_row(tiles.begin); row < last; ++row) {
      float* to = dw_ + row * matrix_.stride;
      std::fill(to + columns_.begin, to + columns_.end, 0.0f);
    }
  }

  const ConvShape& s_;
  const ConvKernels& kernels_;
  const bool padded_rows_;
  const Matrix matrix_;
  const RowTiles tiles_;
  const PositionBlocks blocks_;
  const float* const x_;
  const float* const dy_;
  float* const dw_;
  const bool accumulate_;
  float *sums_, *tail_, *strip_;
  AxisRange columns_{};
};

// How much longer the slowest thread takes than the mean.
double imbalance(std::int64_t units, int threads) {
  const std::int64_t most = (units + threads - 1) / threads;
  return static_cast<double>(most * threads) / static_cast<double>(units);
}

}  // namespace

ConvWeightGradient prepare_conv_weight_gradient(const ConvShape& shape) {
  return {shape, conv_uses_padded_rows(shape), &conv_kernels()};
}

std::size_t conv_weight_gradient_floats(const ConvShape& s) {
  if (s.is_depthwise()) return static_cast<std::size_t>(s.taps() * s.in_channels);
  const Matrix m = matrix_of(s, false);
  return static_cast<std::size_t>(m.rows * m.stride);
}

std::size_t conv_weight_gradient_scratch_bytes(const ConvWeightGradient& gradient, int threads) {
  const std::int64_t floats = gradient.shape.is_depthwise()
                                  ? depthwise_gradient_scratch_floats(gradient.shape)
                                  : Layout(gradient).floats();
  return static_cast<std::size_t>(floats * threads) * sizeof(float);
}

void run_conv_weight_gradient(const ConvWeightGradient& gradient, const float* x, const float* dy,
                              float* dw, bool accumulate, ThreadPool& pool, void* scratch) {
  if (gradient.shape.is_depthwise()) {
    return run_depthwise_gradient(gradient.shape, *gradient.kernels, x, dy, dw, accumulate, pool,
                                  static_cast<float*>(scratch));
  }
  const std::int64_t floats = Layout(gradient).floats();
  const int threads = pool.threads();
  pool.run([&](int part) {
    Part own(gradient, x, dy, dw, accumulate, static_cast<float*>(scratch) + part * floats);
    const std::int64_t unit = std::max<std::int64_t>(kConvPanel, 2 * gradient.kernels->lanes);
    const std::int64_t column_units = (own.columns() + unit - 1) / unit;
    AxisRange tiles{0, own.tiles()}, columns{0, own.columns()};
    // Neither cut changes a sum.
    if (imbalance(column_units, threads) < imbalance(own.tiles(), threads)) {
      const PartRange range = part_range(own.columns(), part, threads, unit);
      columns = {range.begin, range.end};
    } else {
      const PartRange range = part_range(own.tiles(), part, threads);
      tiles = {range.begin, range.end};
    }
    own.run(tiles, columns);
  });
}

void run_conv_bias_gradient(const ConvShape& s, const float* dy, float* db, bool accumulate,
                            ThreadPool& pool) {
  const ConvKernels& kernels = conv_kernels();
  pool.run([&](int part) {
    const PartRange range = part_range(s.out_channels, part, pool.threads(), kConvPanel);
    const std::int64_t channels = range.end - range.begin;
    if (channels <= 0) return;
    if (s.batch == 0 && !accumulate) std::fill_n(db + range.begin, channels, 0.0f);
    for (std::int64_t sample = 0; sample < s.batch; ++sample) {
      kernels.column_sums(dy + sample * s.out_positions() * s.out_channels + range.begin,
                          s.out_positions(), s.out_channels, channels, db + range.begin,
                          accumulate || sample > 0);
    }
  });
}

}  // namespace batchwise::cpu

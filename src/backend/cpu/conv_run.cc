// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cpu/conv.h"

namespace batchwise::cpu {
namespace {

constexpr std::int64_t kAlignment = 64;
// A block of rows keeps its inputs in the second cache while all columns pass over it, and its
// table of pointers in the first.
constexpr std::int64_t kBlockRows = 256;
constexpr std::int64_t kMinBlockRows = 28;
constexpr std::int64_t kBlockPointers = 6144;
constexpr std::int64_t kBlockInputFloats = 64 * 1024;
// Positions of a row of a depthwise pass done at once.
constexpr std::int64_t kDepthwisePositions = 64;

constexpr std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

std::int64_t most_taps(const ConvPass& pass) {
  std::size_t taps = 1;
  for (const auto& phase : pass.phases) taps = std::max(taps, phase.taps.size());
  return static_cast<std::int64_t>(taps);
}

std::int64_t block_rows(const ConvPass& pass) {
  if (pass.kind == ConvPass::Kind::kDepthwise) return kDepthwisePositions;
  const std::int64_t by_table = kBlockPointers / most_taps(pass);
  const std::int64_t by_input = kBlockInputFloats / std::max<std::int64_t>(pass.in_channels, 1);
  return std::clamp(std::min(by_table, by_input), kMinBlockRows, kBlockRows);
}

// Rows of the output that a strip of padded input serves.
std::int64_t strip_rows(const ConvPass& pass) {
  return std::clamp<std::int64_t>(kBlockRows / std::max<std::int64_t>(pass.out_w, 1), 1,
                                  std::max<std::int64_t>(pass.out_h, 1));
}

std::int64_t strip_floats(const ConvPass& pass) {
  if (pass.kind != ConvPass::Kind::kPaddedRows) return 0;
  return pass.strip.floats(strip_rows(pass));
}

// The scratch of one thread.
struct Scratch {
  const float** inputs;
  std::int64_t* y_offsets;
  float* strip;
};

std::int64_t thread_scratch_bytes(const ConvPass& pass) {
  const std::int64_t rows = block_rows(pass);
  return round_up(rows * most_taps(pass) * 8, kAlignment) + round_up(rows * 8, kAlignment) +
         round_up(strip_floats(pass) * 4, kAlignment);
}

Scratch thread_scratch(const ConvPass& pass, void* scratch, int part) {
  auto* begin = static_cast<std::byte*>(scratch) + part * thread_scratch_bytes(pass);
  const std::int64_t rows = block_rows(pass);
  auto* offsets = begin + round_up(rows * most_taps(pass) * 8, kAlignment);
  auto* strip = offsets + round_up(rows * 8, kAlignment);
  return {reinterpret_cast<const float**>(begin), reinterpret_cast<std::int64_t*>(offsets),
          reinterpret_cast<float*>(strip)};
}

// Where the rows of a pass read: the whole tensor, or a padded strip of one sample.
struct Source {
  const float* x;
  std::int64_t height, width, sample_floats;
  std::int64_t first_row;  // output row whose input begins at x
};

// Walks over output positions (sample, i, j) in order.
struct Position {
  std::int64_t sample, i, j;

  Position(const ConvPhase& phase, std::int64_t row)
      : sample(row / (phase.rows_h * phase.rows_w)),
        i(row / phase.rows_w % phase.rows_h),
        j(row % phase.rows_w) {}
  void next(const ConvPhase& phase) {
    if (++j < phase.rows_w) return;
    j = 0;
    if (++i < phase.rows_h) return;
    i = 0;
    ++sample;
  }
};

struct Job {
  const ConvPass& pass;
  const float* packed;
  float* y;
  const Epilogue& epilogue;
};

std::int64_t y_offset(const ConvPass& pass, const ConvPhase& phase, const Position& at) {
  const std::int64_t h = phase.out_first_h + at.i * phase.out_step_h;
  const std::int64_t w = phase.out_first_w + at.j * phase.out_step_w;
  return ((at.sample * pass.out_h + h) * pass.out_w + w) * pass.out_channels;
}

// Writes where each tap of one output position reads, `stride` pointers apart.
void point_taps(const ConvPass& pass, const ConvPhase& phase, const Source& source,
                const Position& at, std::int64_t channel, const float** inputs,
                std::int64_t stride) {
  const std::int64_t h0 = (at.i - source.first_row) * phase.in_step_h;
  const std::int64_t w0 = at.j * phase.in_step_w;
  // May lie outside where the first tap is in the padding, so it is a number and no pointer.
  const std::int64_t first =
      at.sample * source.sample_floats + (h0 * source.width + w0) * pass.in_channels + channel;
  if (h0 + phase.low_h >= 0 && h0 + phase.high_h < source.height && w0 + phase.low_w >= 0 &&
      w0 + phase.high_w < source.width) {
    for (const ConvTap& tap : phase.taps) {
      *inputs = source.x + (first + tap.offset);
      inputs += stride;
    }
    return;
  }
  for (const ConvTap& tap : phase.taps) {
    const std::int64_t h = h0 + tap.dh;
    const std::int64_t w = w0 + tap.dw;
    const bool inside = h >= 0 && h < source.height && w >= 0 && w < source.width;
    *inputs = inside ? source.x + (first + tap.offset) : pass.zeros.data();
    inputs += stride;
  }
}

// Rows of a block cut into tiles as equal as can be.
struct Tiling {
  std::int64_t tiles, base, larger;

  Tiling(std::int64_t rows, std::int64_t most)
      : tiles((rows + most - 1) / most), base(rows / tiles), larger(rows % tiles) {}
  std::int64_t rows(std::int64_t tile) const { return base + (tile < larger ? 1 : 0); }
};

// log2 of the vectors of the next tile, whose columns end at `end` and whose panels at `panel_end`.
int choose_vectors(const ConvKernels& kernels, std::int64_t rows, std::int64_t columns,
                   std::int64_t panel_columns) {
  const std::int64_t lanes = kernels.lanes;
  if (rows <= kernels.max_wide_rows && columns > 2 * lanes && panel_columns >= 4 * lanes) return 2;
  return columns > lanes && panel_columns >= 2 * lanes ? 1 : 0;
}

// All columns [begin, end) of one group over a block of rows whose table is filled.
void run_columns(const Job& job, const ConvPhase& phase, const Tiling& tiling,
                 const Scratch& scratch, std::int64_t group, std::int64_t begin, std::int64_t end) {
  const ConvPass& pass = job.pass;
  const ConvKernels& kernels = *pass.kernels;
  const std::int64_t panel_stride = pass.slabs * pass.run * kConvPanel;
  const std::int64_t panel_end = round_up(pass.group_out(), kConvPanel);
  const std::int64_t taps = static_cast<std::int64_t>(phase.taps.size());
  const float* weights = job.packed + group * (panel_end / kConvPanel) * panel_stride;
  for (std::int64_t column = begin; column < end;) {
    const int log = choose_vectors(kernels, tiling.rows(0), end - column, panel_end - column);
    const std::int64_t channel = group * pass.group_out() + column;
    Epilogue epilogue = job.epilogue;
    if (epilogue.bias != nullptr) epilogue.bias += channel;
    if (epilogue.residual != nullptr) epilogue.residual += channel;
    ConvTile tile{};
    tile.segments = phase.segments.data();
    tile.num_segments = phase.segments.size();
    tile.weights = weights + column / kConvPanel * panel_stride + column % kConvPanel;
    tile.panel_stride = panel_stride;
    tile.columns = end - column;
    tile.y = job.y + channel;
    tile.epilogue = &epilogue;
    for (std::int64_t t = 0, row = 0; t < tiling.tiles; row += tiling.rows(t), ++t) {
      tile.inputs = scratch.inputs + row * taps;
      tile.y_offsets = scratch.y_offsets + row;
      kernels.tile[log][tiling.rows(t)](tile);
    }
    column += kernels.lanes << log;
  }
}

struct Range {
  std::int64_t begin, end;
};

// Rows x columns of one phase that one thread does.
void run_part(const Job& job, const ConvPhase& phase, const Source& source, Range rows,
              Range columns, const Scratch& scratch) {
  const ConvPass& pass = job.pass;
  const std::int64_t taps = static_cast<std::int64_t>(phase.taps.size());
  const std::int64_t count = rows.end - rows.begin;
  if (count <= 0 || columns.begin >= columns.end) return;
  const Tiling blocks(count, block_rows(pass));
  for (std::int64_t group = 0; group < pass.groups; ++group) {
    Position at(phase, rows.begin);
    for (std::int64_t block = 0; block < blocks.tiles; ++block) {
      const Tiling tiling(blocks.rows(block), pass.kernels->max_rows);
      for (std::int64_t t = 0, row = 0; t < tiling.tiles; ++t) {
        const std::int64_t tile_rows = tiling.rows(t);
        for (std::int64_t r = 0; r < tile_rows; ++r, at.next(phase)) {
          scratch.y_offsets[row + r] = y_offset(pass, phase, at);
          point_taps(pass, phase, source, at, group * pass.group_in(),
                     scratch.inputs + row * taps + r, tile_rows);
        }
        row += tile_rows;
      }
      run_columns(job, phase, tiling, scratch, group, columns.begin, columns.end);
    }
  }
}

// Splits rows where there are enough of them; else columns, so that each thread reads its share of
// the weights only. Neither changes a sum.
void run_taps(const Job& job, const float* x, ThreadPool& pool, void* scratch) {
  const ConvPass& pass = job.pass;
  const int threads = pool.threads();
  const std::int64_t unit = std::max<std::int64_t>(kConvPanel, 2 * pass.kernels->lanes);
  const Source source{x, pass.in_h, pass.in_w, pass.in_h * pass.in_w * pass.in_channels, 0};
  pool.run([&](int part) {
    const Scratch own = thread_scratch(pass, scratch, part);
    for (const auto& phase : pass.phases) {
      const std::int64_t rows = pass.batch * phase.rows_h * phase.rows_w;
      const std::int64_t weights = static_cast<std::int64_t>(phase.taps.size()) * pass.group_out();
      const bool split_columns = pass.group_out() >= threads * unit && rows < weights &&
                                 (pass.group_out() % (threads * unit) == 0 || rows < 64 * threads);
      Range row_range{0, rows}, column_range{0, pass.group_out()};
      if (split_columns) {
        const PartRange range = part_range(pass.group_out(), part, threads, unit);
        column_range = {range.begin, range.end};
      } else {
        const PartRange range = part_range(rows, part, threads);
        row_range = {range.begin, range.end};
      }
      run_part(job, phase, source, row_range, column_range, own);
    }
  });
}

void run_padded_rows(const Job& job, const float* x, ThreadPool& pool, void* scratch) {
  const ConvPass& pass = job.pass;
  const ConvPhase& phase = pass.phases.front();
  const std::int64_t sample_floats = pass.in_h * pass.in_w * pass.in_channels;
  pool.run([&](int part) {
    const Scratch own = thread_scratch(pass, scratch, part);
    const PartRange all = part_range(pass.batch * phase.rows_h, part, pool.threads());
    for (std::int64_t row = all.begin; row < all.end;) {
      const std::int64_t sample = row / phase.rows_h;
      const std::int64_t i = row % phase.rows_h;
      const std::int64_t rows = std::min({strip_rows(pass), phase.rows_h - i, all.end - row});
      pass.strip.fill(x + sample * sample_floats, i, rows, own.strip);
      const Source source{own.strip, INT64_MAX, pass.strip.width, 0, i};
      run_part(job, phase, source, {row * phase.rows_w, (row + rows) * phase.rows_w},
               {0, pass.out_channels}, own);
      row += rows;
    }
  });
}

void run_depthwise(const Job& job, const float* x, ThreadPool& pool, void* scratch) {
  const ConvPass& pass = job.pass;
  const Source source{x, pass.in_h, pass.in_w, pass.in_h * pass.in_w * pass.in_channels, 0};
  pool.run([&](int part) {
    const Scratch own = thread_scratch(pass, scratch, part);
    for (const auto& phase : pass.phases) {
      const std::int64_t taps = static_cast<std::int64_t>(phase.taps.size());
      const PartRange all =
          part_range(pass.batch * phase.rows_h * phase.rows_w, part, pool.threads());
      Position at(phase, all.begin);
      for (std::int64_t row = all.begin; row < all.end;) {
        const std::int64_t count =
            std::min({kDepthwisePositions, phase.rows_w - at.j, all.end - row});
        const std::int64_t offset = y_offset(pass, phase, at);
        for (std::int64_t p = 0; p < count; ++p, at.next(phase)) {
          point_taps(pass, phase, source, at, 0, own.inputs + p * taps, 1);
        }
        Epilogue epilogue = job.epilogue;
        if (epilogue.residual != nullptr) epilogue.residual += offset;
        pass.kernels->depthwise_row({own.inputs, phase.segments.data(), taps, job.packed, count,
                                     pass.in_channels, job.y + offset,
                                     phase.out_step_w * pass.out_channels, &epilogue});
        row += count;
      }
    }
  });
}

}  // namespace

std::size_t conv_scratch_bytes(const ConvPass& pass, int threads) {
  return static_cast<std::size_t>(thread_scratch_bytes(pass) * threads);
}

void run_conv(const ConvPass& pass, const float* x, const float* packed, float* y,
              const Epilogue& epilogue, ThreadPool& pool, void* scratch) {
  const Job job{pass, packed, y, epilogue};
  switch (pass.kind) {
    case ConvPass::Kind::kTaps:
      return run_taps(job, x, pool, scratch);
    case ConvPass::Kind::kPaddedRows:
      return run_padded_rows(job, x, pool, scratch);
    case ConvPass::Kind::kDepthwise:
      return run_depthwise(job, x, pool, scratch);
  }
}

}  // namespace batchwise::cpu

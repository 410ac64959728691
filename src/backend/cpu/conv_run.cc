// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cpu/conv.h"
#include "backend/cpu/conv_depthwise.h"
#include "backend/cpu/conv_rows.h"

namespace batchwise::cpu {
namespace {

constexpr std::int64_t kAheadTiles = 4;

struct Job {
  const ConvPass& pass;
  const float* packed;
  float* y;
  const Epilogue& epilogue;
};

// log2 of the vectors of the next tile, whose columns end at `end` and whose panels at `panel_end`.
int choose_vectors(const ConvKernels& kernels, bool are_few_rows, std::int64_t columns,
                   std::int64_t panel_columns) {
  const std::int64_t lanes = kernels.lanes;
  if (are_few_rows && columns > 2 * lanes && panel_columns >= 4 * lanes) return 2;
  return columns > lanes && panel_columns >= 2 * lanes ? 1 : 0;
}

// Wide tiles are for few rows; what they sum must fit the totals.
bool are_few_rows(const ConvKernels& kernels, const ConvPhase& phase, const ConvBlock& block) {
  std::int64_t rows = 0, most = 0;
  for (std::int64_t t = 0; t < block.num_tiles; ++t) {
    most = std::max<std::int64_t>(most, block.tiles[t].rows);
    rows += block.tiles[t].rows;
  }
  return most <= kernels.max_wide_rows && 2 * rows <= phase.block_rows;
}

// Columns of a group: all output channels, or what one thread does of them.
struct Columns {
  std::int64_t group;
  ConvRange range;
};

// Floats that lie side by side.
struct Stretch {
  const float* begin = nullptr;
  const float* end = nullptr;
};

// What tiles fetch for later: the weights, of which four tiles fetch a quarter each, then input.
struct Ahead {
  const float* weights = nullptr;  // of the first panel, or null
  std::int64_t panel_stride, floats, width;
  Stretch& input;

  void aim(ConvTile& tile, std::int64_t t) const {
    tile.ahead = tile.weights;
    tile.ahead_step = 0;
    if (weights != nullptr && t < kAheadTiles) {
      const std::int64_t first = t * (width * floats / kConvPanel / kAheadTiles);
      tile.ahead = weights + first / floats * panel_stride + first % floats;
      tile.ahead_step = kConvPanel;
    } else if (input.begin < input.end) {
      tile.ahead = input.begin;
      tile.ahead_step = kConvPanel;
      // A tile fetches a line for every four of weights that it reads.
      for (std::size_t s = 0; s < tile.num_segments; ++s) {
        input.begin += tile.segments[s].length * width / (4 * kConvPanel) * kConvPanel;
      }
    }
  }
};

// One block of the sums of all tiles.
void run_tiles(const ConvPass& pass, const ConvPhase& phase, const ConvBlock& block,
               std::int64_t index, int log, const Ahead& ahead, ConvTile tile) {
  const std::int64_t width = std::int64_t{pass.kernels->lanes} << log;
  tile.inputs = block.inputs;
  tile.y_offsets = block.y_offsets;
  tile.totals = block.totals;
  for (std::int64_t t = 0; t < block.num_tiles; ++t) {
    const ConvTileCut cut = block.tiles[t];
    const auto place = static_cast<std::size_t>(cut.row_class * phase.num_blocks() + index);
    const ConvBlockTerms terms = phase.blocks[place];
    if (!terms.is_left_out()) {
      tile.segments = phase.segments.data() + terms.begin;
      tile.num_segments = static_cast<std::size_t>(terms.end - terms.begin);
      tile.is_first = terms.is_first;
      tile.is_last = terms.is_last;
      ahead.aim(tile, t);
      pass.kernels->tile[log][cut.rows](tile);
    }
    tile.inputs += cut.rows;
    tile.y_offsets += cut.rows;
    tile.totals += cut.rows * width;
  }
}

// All columns of one group over a block of positions. A block of the sums is done for all tiles
// before the next: its weights stay in the first cache.
void run_columns(const Job& job, const ConvPhase& phase, const ConvBlock& block,
                 const Columns& columns, Stretch& next_input) {
  const ConvPass& pass = job.pass;
  const ConvKernels& kernels = *pass.kernels;
  const std::int64_t panels = (pass.group_out() + kConvPanel - 1) / kConvPanel;
  ConvTile tile{};
  tile.panel_stride = pass.slabs * pass.run * kConvPanel;
  tile.input_offset = columns.group * pass.group_in();
  const float* weights = job.packed + columns.group * panels * tile.panel_stride;
  const bool few_rows = are_few_rows(kernels, phase, block);
  for (std::int64_t column = columns.range.begin; column < columns.range.end;) {
    const int log =
        choose_vectors(kernels, few_rows, columns.range.end - column, panels * kConvPanel - column);
    const std::int64_t channel = columns.group * pass.group_out() + column;
    Epilogue epilogue = job.epilogue;
    if (epilogue.bias != nullptr) epilogue.bias += channel;
    if (epilogue.residual != nullptr) epilogue.residual += channel;
    tile.weights = weights + column / kConvPanel * tile.panel_stride + column % kConvPanel;
    tile.columns = columns.range.end - column;
    tile.y = job.y + channel;
    tile.epilogue = &epilogue;
    const std::int64_t width = std::int64_t{kernels.lanes} << log;
    column += width;
    for (std::int64_t b = 0; b < phase.num_blocks(); ++b) {
      const bool same_columns = b + 1 < phase.num_blocks();
      const auto next = static_cast<std::size_t>(same_columns ? b + 1 : 0);
      Ahead ahead{nullptr, tile.panel_stride,
                  phase.block_weights[next + 1] - phase.block_weights[next], width, next_input};
      if (same_columns || column < columns.range.end) {
        ahead.weights = tile.weights + phase.block_weights[next] +
                        (same_columns ? 0 : width / kConvPanel * tile.panel_stride);
      }
      run_tiles(pass, phase, block, b, log, ahead, tile);
    }
  }
}

// What one thread does of a phase: output positions x columns of every group.
struct Share {
  ConvRange rows, columns;
};

// Splits positions where there are enough of them; else columns, so that each thread reads its
// share of the weights only. Neither changes a sum.
Share share_of(const ConvPass& pass, const ConvPhase& phase, const ConvCut& cut, int part,
               int threads) {
  const std::int64_t unit = std::max<std::int64_t>(kConvPanel, 2 * pass.kernels->lanes);
  const std::int64_t rows = pass.batch * phase.positions();
  const std::int64_t columns = pass.group_out();
  const bool more_weights = rows < static_cast<std::int64_t>(phase.taps.size()) * columns;
  const bool is_even = columns % (threads * unit) == 0 || rows < 64 * threads;
  if (columns < threads * unit || !more_weights || !is_even) {
    return {cut.part(rows, part, threads), {0, columns}};
  }
  const PartRange range = part_range(columns, part, threads, unit);
  return {{0, rows}, {range.begin, range.end}};
}

// What the block after this one reads, where it lies side by side and is not copied.
Stretch next_block_input(const ConvPass& pass, const ConvPhase& phase, const float* x,
                         std::int64_t begin, std::int64_t end) {
  if (!phase.is_even) return {};
  const std::int64_t step = phase.in_step_w * pass.in_channels;
  return {x + begin * step, x + std::min(begin + phase.block_rows, end) * step};
}

void run_share(const Job& job, const ConvPhase& phase, const ConvCut& cut, const float* x,
               Share share, ConvBlock& block) {
  if (share.columns.begin >= share.columns.end) return;
  while (share.rows.begin < share.rows.end) {
    const ConvRange rows{share.rows.begin, cut.block_end(share.rows)};
    fill_conv_block(job.pass, phase, cut, x, rows, block);
    Stretch next_input = next_block_input(job.pass, phase, x, rows.end, share.rows.end);
    for (std::int64_t group = 0; group < job.pass.groups; ++group) {
      run_columns(job, phase, block, {group, share.columns}, next_input);
    }
    share.rows.begin = rows.end;
  }
}

void run_taps(const Job& job, const float* x, ThreadPool& pool, void* scratch) {
  const ConvPass& pass = job.pass;
  pool.run([&](int part) {
    auto* own = static_cast<std::byte*>(scratch) + part * conv_block_bytes(pass);
    ConvBlock block = conv_block(pass, own);
    for (const auto& phase : pass.phases) {
      const ConvCut cut(pass, phase);
      run_share(job, phase, cut, x, share_of(pass, phase, cut, part, pool.threads()), block);
    }
  });
}

}  // namespace

std::size_t conv_scratch_bytes(const ConvPass& pass, int threads) {
  const std::int64_t bytes = pass.kind == ConvPass::Kind::kDepthwise ? depthwise_scratch_bytes(pass)
                                                                     : conv_block_bytes(pass);
  return static_cast<std::size_t>(bytes * threads);
}

void run_conv(const ConvPass& pass, const float* x, const float* packed, float* y,
              const Epilogue& epilogue, ThreadPool& pool, void* scratch) {
  if (pass.kind == ConvPass::Kind::kDepthwise) {
    return run_depthwise(pass, x, packed, y, epilogue, pool, scratch);
  }
  run_taps({pass, packed, y, epilogue}, x, pool, scratch);
}

}  // namespace batchwise::cpu

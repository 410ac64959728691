// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "backend/cpu/conv.h"

// The output positions of a phase, in order of sample, row and column: how they are cut into blocks
// and register tiles, and where each reads and writes.
namespace batchwise::cpu {

struct ConvRange {
  std::int64_t begin, end;
};

// A tile: its positions, and the class of the rows of the output that they are in.
struct ConvTileCut {
  std::uint16_t rows, row_class;
};

// Where cuts may be. A tile of more than free_rows rows wants both its halves to read in equal
// steps, so it lies in one row of the output, or is two short ones.
class ConvCut {
 public:
  ConvCut(const ConvPass& pass, const ConvPhase& phase);

  // What one of `threads` does of [0, positions).
  ConvRange part(std::int64_t positions, int part, int threads) const;
  // The end of the block that begins a range.
  std::int64_t block_end(ConvRange range) const;
  ConvTileCut first_tile(ConvRange range) const;

 private:
  const ConvPhase& phase_;
  std::int64_t max_rows_;  // of a tile
  std::int64_t width_;     // of the phase
  std::int64_t line_;      // tiles end at its multiples
  bool pairs_lines_;
  std::int64_t block_rows_;
};

// Columns of the sums of blocks that are kept for each position.
inline constexpr std::int64_t kConvTotals = 2 * kConvPanel;

// What a thread knows of a block while columns pass over it; memory of its scratch.
struct ConvBlock {
  const float** inputs;     // [position]: where it begins to read
  std::int64_t* y_offsets;  // [position]
  ConvTileCut* tiles;
  std::int64_t num_tiles;
  float* totals;  // [position][kConvTotals]
  float* padded;  // a copy of the input, with zeros around
};

std::int64_t conv_block_bytes(const ConvPass& pass);
ConvBlock conv_block(const ConvPass& pass, void* memory);

// Makes `block` that of positions `range`, of at most the phase's block_rows.
void fill_conv_block(const ConvPass& pass, const ConvPhase& phase, const ConvCut& cut,
                     const float* x, ConvRange range, ConvBlock& block);

}  // namespace batchwise::cpu

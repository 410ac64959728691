// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "backend/cpu/conv_kernels.h"
#include "backend/cpu/conv_shape.h"
#include "base/thread_pool.h"

// Convolutions on raw pointers, activations channels-last (N,H,W,C).
//
// The order of summation is part of the interface. An output element sums over the taps (kh, kw) in
// order and, within a tap, over the input channels in order. Whole taps, or pieces of 256 channels
// where a tap is longer, form blocks of at most 256 terms; a block is one chain of fused
// multiply-adds from zero, and block sums are added in order; then bias, residual, activation. A
// place in the padding left or right of the input is a term of zero; rows of the kernel above or
// below it are left out. All of it follows from the layer alone: never from the batch, the threads,
// the tile or the width of the vectors. (SSE4 rounds products, so its bits are its own.)
//
// Functions are safe to call from several threads, each with its own pool and scratch.
namespace batchwise::cpu {

// A tap of a pass: where it reads, relative to the first input position of an output position.
struct ConvTap {
  std::int64_t dh, dw;
  std::int64_t slab;    // in the packed weights
  std::int64_t offset;  // floats from where the position begins to read; set by prepare
};

// Segments [begin, end) of one block of the sums; without any it is left out, unless it is last.
struct ConvBlockTerms {
  std::int32_t begin, end;
  bool is_first, is_last;

  bool is_left_out() const { return begin == end && !is_last; }
};

// Output positions that see the same taps: all of them in a forward pass; in an input gradient
// those with the same remainder by the stride. Row (i, j) is output position (first + step * (i,
// j)).
struct ConvPhase {
  std::int64_t rows_h, rows_w;
  std::int64_t out_first_h, out_first_w, out_step_h, out_step_w;
  std::int64_t in_step_h, in_step_w;
  std::int64_t low_h, low_w;      // the least dh and dw: a position begins to read there
  std::int64_t reach_h, reach_w;  // rows and columns that a position reads
  std::vector<ConvTap> taps;
  std::vector<ConvSegment> segments;
  // Rows of the output above or below which the same taps lie in the padding are of one class;
  // those taps are left out. Not for depthwise passes.
  std::vector<std::uint16_t> row_classes;   // [rows_h]
  std::vector<std::int64_t> class_ends;     // [rows_h]: where the run of rows like it ends
  std::vector<ConvBlockTerms> blocks;       // [class][block]
  std::vector<std::int64_t> block_weights;  // [block + 1]: floats from the panel's begin
  // Set by prepare, not for depthwise passes:
  bool is_padded;              // some row reads beyond its ends: of a copy with zeros there
  bool is_even;                // each position of a batch reads one step behind the one before
  std::int64_t row_floats;     // of a row of what is read, the copy if there is one
  std::int64_t block_rows;     // positions whose input is held in the second cache
  std::int64_t padded_floats;  // of the copy for a block

  std::int64_t positions() const { return rows_h * rows_w; }
  std::int64_t num_blocks() const { return static_cast<std::int64_t>(block_weights.size()) - 1; }
};

// A forward convolution or an input gradient, ready to run: both are sums over taps of a
// channels-last tensor. A value; it owns its lists, and its size does not depend on the batch.
struct ConvPass {
  enum class Kind { kTaps, kDepthwise };

  Kind kind;
  // Of the tensor that is read and the one that is written.
  std::int64_t batch, in_h, in_w, in_channels, out_h, out_w, out_channels;
  std::int64_t groups;
  std::int64_t run;    // terms of a tap
  std::int64_t slabs;  // taps in the packed weights
  std::vector<ConvPhase> phases;
  std::vector<float> zeros;    // what a depthwise pass reads outside
  const ConvKernels* kernels;  // of the instruction set at the time of preparation

  std::int64_t group_in() const { return in_channels / groups; }
  std::int64_t group_out() const { return out_channels / groups; }
  std::int64_t table_bytes() const;
};

ConvPass prepare_conv_forward(const ConvShape& shape);
ConvPass prepare_conv_input_gradient(const ConvShape& shape);

// Weights packed from ONNX's O x I/groups x KH x KW, aligned to 64 bytes; the packing depends on
// the weights' shape alone, so programs of every batch and instruction set share it. `pool` may be
// null.
std::size_t packed_conv_floats(const ConvShape& shape);
void pack_conv_forward(const ConvShape& shape, const float* weights, float* packed,
                       ThreadPool* pool = nullptr);
std::size_t packed_conv_input_gradient_floats(const ConvShape& shape);
void pack_conv_input_gradient(const ConvShape& shape, const float* weights, float* packed,
                              ThreadPool* pool = nullptr);

// y = epilogue(conv(x)) or dx = conv^T(dy). An epilogue's residual lies as y does, and may be y
// itself. `scratch` holds conv_scratch_bytes, aligned to 64.
std::size_t conv_scratch_bytes(const ConvPass& pass, int threads);
void run_conv(const ConvPass& pass, const float* x, const float* packed, float* y,
              const Epilogue& epilogue, ThreadPool& pool, void* scratch);

}  // namespace batchwise::cpu

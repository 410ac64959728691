// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "backend/cpu/conv_kernels.h"
#include "backend/cpu/conv_shape.h"
#include "base/thread_pool.h"

// Gradients of a convolution by its weights and its bias, on raw pointers.
//
// The order of summation is part of the interface. For each sample by itself, an element sums over
// the output positions in order; whole rows of positions, or pieces of 256 where a row is longer,
// form blocks of at most 256 positions; a block is one chain of fused multiply-adds from zero, and
// block sums are added in order. Samples are then added, in order, to what lies in dw. So a batch
// may be given in pieces, and gives the bits of the whole. Positions whose input lies in the
// padding are skipped.
namespace batchwise::cpu {

// A weight gradient, ready to run. A value; its size does not depend on the batch.
//
// It accumulates in a layout of its own, [group][kh][kw][in channel][out channel, to a multiple of
// 16] (depthwise [kh][kw][channel]); unpack_conv_weight_gradient gives ONNX's.
struct ConvWeightGradient {
  ConvShape shape;
  bool padded_rows;  // few input channels: a tap is a whole row of the kernel (conv.h)
  const ConvKernels* kernels;
};

ConvWeightGradient prepare_conv_weight_gradient(const ConvShape& shape);

// Floats of dw, aligned to 64 bytes. Depends on the weights' shape alone.
std::size_t conv_weight_gradient_floats(const ConvShape& shape);

// dw = (accumulate ? dw : 0) + the gradient. `scratch` holds the bytes, aligned to 64.
std::size_t conv_weight_gradient_scratch_bytes(const ConvWeightGradient& gradient, int threads);
void run_conv_weight_gradient(const ConvWeightGradient& gradient, const float* x, const float* dy,
                              float* dw, bool accumulate, ThreadPool& pool, void* scratch);

// To O x I/groups x KH x KW; overwrites `weights`.
void unpack_conv_weight_gradient(const ConvShape& shape, const float* dw, float* weights,
                                 ThreadPool& pool);

// The reverse, for a gradient that was kept in ONNX's layout and goes on.
void pack_conv_weight_gradient(const ConvShape& shape, const float* weights, float* dw,
                               ThreadPool& pool);

// db[c] = (accumulate ? db[c] : 0) + for each sample the sum over its positions of dy, in order.
void run_conv_bias_gradient(const ConvShape& shape, const float* dy, float* db, bool accumulate,
                            ThreadPool& pool);

}  // namespace batchwise::cpu

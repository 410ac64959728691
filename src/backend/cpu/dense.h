// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "backend/cpu/epilogue.h"
#include "base/thread_pool.h"

// Dense layers: C = A B and its weight gradient, on raw pointers.
//
// The order of summation is part of the interface. Forward, a sum over k is cut into blocks of
// kSumBlock terms: a block is one chain of fused multiply-adds from zero in the order of k, and the
// sums of the blocks are added in order; then bias, residual and activation. So an element of C
// depends on its row of A and its column of B alone: never on the number of rows, its place among
// them, the tile, the threads or the width of the vectors. (On SSE4 multiplication and addition
// round apiece, so its bits differ from those of the other targets.)
//
// Functions are safe to call from several threads, each with its own pool and scratch.
namespace batchwise::cpu {

inline constexpr std::int64_t kSumBlock = 256;
// Columns of a packed panel: one cache line of floats for every k, for every width of vector.
inline constexpr std::int64_t kPanelColumns = 16;

// Floats that pack_matrix writes for a K x N matrix.
std::size_t packed_matrix_floats(std::int64_t k, std::int64_t n);

// Packs B, with B[k][n] at b[k * row_stride + n * column_stride], into panels
// [ceil(n / 16)][k][16], padded with zeros: the one packing for all targets and numbers of rows.
// Requires: `packed` is aligned to 64 bytes.
void pack_matrix(const float* b, std::int64_t k, std::int64_t n, std::int64_t row_stride,
                 std::int64_t column_stride, float* packed, ThreadPool& pool);

// C[m][n] = epilogue(sum over k of A[m][k] * B[k][n]). Strides are between rows, in floats.
struct DenseJob {
  std::int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;
  std::int64_t a_stride = 0;
  const float* packed_b = nullptr;
  float* c = nullptr;
  std::int64_t c_stride = 0;
  Epilogue epilogue;
  // For dense_forward_unpacked() in place of packed_b: B as it lies, rows [k][n] without gaps, or
  // transposed [n][k].
  const float* b = nullptr;
  bool transposed_b = false;
};

// Floats of scratch, aligned to 64 bytes, that dense_forward needs; may be 0.
std::size_t dense_scratch_floats(std::int64_t m, std::int64_t n, std::int64_t k, int threads);
void dense_forward(const DenseJob& job, ThreadPool& pool, float* scratch);

// The same for few rows of A and a B that is not packed: for weights that change with every use,
// which would have to be packed again each time.
inline constexpr int kMaxUnpackedRows = 16;
bool dense_takes_unpacked(std::int64_t m, std::int64_t n);
// Requires: dense_takes_unpacked(job.m, job.n).
void dense_forward_unpacked(const DenseJob& job, ThreadPool& pool);

// dW[k][n] = (accumulate ? dW[k][n] : 0) + sum over m of X[m][k] * dY[m][n]: for each element one
// chain of fused multiply-adds over the samples in order, which goes on from what lies in dW. So
// a batch may be given in pieces, and gives the bits of the whole.
struct WeightGradientJob {
  std::int64_t m = 0, k = 0, n = 0;
  const float* x = nullptr;
  std::int64_t x_stride = 0;
  const float* dy = nullptr;
  std::int64_t dy_stride = 0;
  float* dw = nullptr;
  std::int64_t dw_stride = 0;
  bool accumulate = true;
};

std::size_t weight_gradient_scratch_floats(std::int64_t m, std::int64_t k, std::int64_t n,
                                           int threads);
void weight_gradient(const WeightGradientJob& job, ThreadPool& pool, float* scratch);

// db[n] = (accumulate ? db[n] : 0) + sum over m of dY[m][n], one chain of additions in order of m.
struct BiasGradientJob {
  std::int64_t m = 0, n = 0;
  const float* dy = nullptr;
  std::int64_t dy_stride = 0;
  float* db = nullptr;
  bool accumulate = true;
};

void bias_gradient(const BiasGradientJob& job, ThreadPool& pool);

}  // namespace batchwise::cpu

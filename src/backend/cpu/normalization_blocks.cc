// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "backend/cpu/normalization.h"
#include "backend/cpu/normalization_columns.h"
#include "backend/cpu/parallel_range.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/normalization_blocks.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "backend/cpu/normalization_columns-inl.h"
#include "backend/cpu/vector_lanes-inl.h"

#ifndef BATCHWISE_BACKEND_CPU_NORMALIZATION_BLOCKS_ARGS
#define BATCHWISE_BACKEND_CPU_NORMALIZATION_BLOCKS_ARGS
namespace batchwise::cpu {
enum class BlockSums { kValues, kSquares, kSlopes };

// Blocks [begin, end) of rows; a block's sums go to the first rows of its part of `sums`.
struct BlockSumsArgs {
  BlockSums what;
  std::int64_t rows, channels;
  const float* x;
  const float* dy;
  const float* mean;
  const float* inv_std;
  float* sums;
  std::int64_t begin, end;
};

// Rows [begin, end): y = (x - mean) * inv_std * scale + bias, or dx.
struct BlockApplyArgs {
  std::int64_t rows, channels;
  const float* x;
  const float* dy;  // null: forward
  const float* mean;
  const float* inv_std;
  const float* scale;
  const float* bias;
  const float* dscale;
  const float* dbias;
  float* out;
  std::int64_t begin, end;
};
}  // namespace batchwise::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu {
namespace HWY_NAMESPACE {

struct BlockSumsKernel {
  template <class D>
  static HWY_INLINE void run_chunk(D d, const BlockSumsArgs& args, const ColumnChunk& chunk,
                                   float (*sums)[kChannelChunk]) {
    const float* mean = args.mean + chunk.first;
    const float* inv_std = args.inv_std + chunk.first;
    switch (args.what) {
      case BlockSums::kValues:
        return sum_columns_of<1>(
            d, chunk,
            [&](auto io, std::int64_t at, std::int64_t, hn::Vec<D>* term)
                HWY_ATTR { term[0] = io.load(args.x + at); },
            sums);
      case BlockSums::kSquares:
        return sum_columns_of<1>(
            d, chunk,
            [&](auto io, std::int64_t at, std::int64_t k, hn::Vec<D>* term) HWY_ATTR {
              const auto distance = hn::Sub(io.load(args.x + at), io.load(mean + k));
              term[0] = hn::Mul(distance, distance);
            },
            sums);
      case BlockSums::kSlopes:
        return sum_columns_of<2>(
            d, chunk,
            [&](auto io, std::int64_t at, std::int64_t k, hn::Vec<D>* term) HWY_ATTR {
              const auto centered = hn::Sub(io.load(args.x + at), io.load(mean + k));
              term[0] = io.load(args.dy + at);
              term[1] = hn::Mul(term[0], hn::Mul(centered, io.load(inv_std + k)));
            },
            sums);
    }
  }

  template <class D>
  void operator()(D d, const BlockSumsArgs& args) const {
    const int num_sums = args.what == BlockSums::kSlopes ? 2 : 1;
    for (std::int64_t block = args.begin; block < args.end; ++block) {
      const std::int64_t begin = block * kRowBlock;
      const std::int64_t end = std::min(args.rows, begin + kRowBlock);
      for (std::int64_t first = 0; first < args.channels; first += kChannelChunk) {
        const std::int64_t last = std::min(args.channels, first + kChannelChunk);
        HWY_ALIGN float sums[2][kChannelChunk];
        run_chunk(d, args, {args.channels, begin, end, first, last}, sums);
        for (int s = 0; s < num_sums; ++s) {
          float* to = args.sums + (begin + s) * args.channels + first;
          for (std::int64_t k = 0; k < last - first; ++k) to[k] = sums[s][k];
        }
      }
    }
  }
};

struct BlockApplyKernel {
  template <class D>
  static HWY_INLINE void run_chunk(D d, const BlockApplyArgs& args, const ColumnChunk& chunk) {
    const std::int64_t first = chunk.first;
    const auto divisor = hn::Set(d, static_cast<float>(args.rows));
    HWY_ALIGN float factor[kChannelChunk];
    HWY_ALIGN float slope_mean[kChannelChunk];
    HWY_ALIGN float product_mean[kChannelChunk];
    for_each_vector(d, 0, chunk.last - first, [&](auto io, std::int64_t k) HWY_ATTR {
      const auto inv_std = io.load(args.inv_std + first + k);
      io.store(hn::Mul(io.load(args.scale + first + k), inv_std), factor + k);
      if (args.dy == nullptr) return;
      io.store(hn::Div(io.load(args.dbias + first + k), divisor), slope_mean + k);
      io.store(hn::Div(io.load(args.dscale + first + k), divisor), product_mean + k);
    });
    for_each_element(d, chunk, [&](auto io, std::int64_t at, std::int64_t k) HWY_ATTR {
      const auto centered = hn::Sub(io.load(args.x + at), io.load(args.mean + first + k));
      if (args.dy == nullptr) {
        const auto bias = io.load(args.bias + first + k);
        io.store(hn::MulAdd(centered, io.load(factor + k), bias), args.out + at);
        return;
      }
      const auto normalized = hn::Mul(centered, io.load(args.inv_std + first + k));
      const auto slope = hn::Sub(io.load(args.dy + at), io.load(slope_mean + k));
      const auto rest = hn::NegMulAdd(normalized, io.load(product_mean + k), slope);
      io.store(hn::Mul(io.load(factor + k), rest), args.out + at);
    });
  }

  template <class D>
  void operator()(D d, const BlockApplyArgs& args) const {
    for (std::int64_t first = 0; first < args.channels; first += kChannelChunk) {
      const std::int64_t last = std::min(args.channels, first + kChannelChunk);
      run_chunk(d, args, {args.channels, args.begin, args.end, first, last});
    }
  }
};

void block_sums(const BlockSumsArgs& args) { at_vector_width<BlockSumsKernel>(args); }
void block_apply(const BlockApplyArgs& args) { at_vector_width<BlockApplyKernel>(args); }

}  // namespace HWY_NAMESPACE
}  // namespace batchwise::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {
namespace {

HWY_EXPORT(block_sums);
HWY_EXPORT(block_apply);

// Blocks must be worth more than the chunks of channels that the other way deals out, and the last
// block must have room for two rows of sums.
bool suits_blocks(const BatchNormGroups& groups, const float* input, const float* output,
                  ThreadPool* pool) {
  if (pool == nullptr || pool->threads() == 1 || groups.groups() != 1) return false;
  const std::int64_t chunks = (groups.channels + kChannelChunk - 1) / kChannelChunk;
  const bool has_room = groups.rows % kRowBlock != 1 && groups.rows > 4 * kRowBlock;
  return chunks < pool->threads() && has_room && output != nullptr && output != input &&
         groups.rows * groups.channels >= kLeastParallelElements;
}

// The sums of the blocks of `args`, into its array, and then `row` of them added in order to `to`.
void take_block_sums(const BlockSumsArgs& args, ThreadPool* pool) {
  const std::int64_t blocks = (args.rows + kRowBlock - 1) / kRowBlock;
  for_each_range(pool, blocks, kRowBlock * args.channels, 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   BlockSumsArgs part = args;
                   part.begin = begin;
                   part.end = end;
                   HWY_DYNAMIC_DISPATCH(block_sums)(part);
                 });
}

// As sum_vectors() of normalization_columns-inl.h does it.
void add_block_sums(const BlockSumsArgs& args, std::int64_t row, float* to) {
  for (std::int64_t c = 0; c < args.channels; ++c) {
    float total = 0, rest = 0;
    for (std::int64_t begin = 0; begin < args.rows; begin += kRowBlock) {
      const float term = args.sums[(begin + row) * args.channels + c];
      const float sum = total + term;
      const float added = sum - total;
      rest += (total - (sum - added)) + (term - added);
      total = sum;
    }
    to[c] = total + rest;
  }
}

void apply_to_rows(const BlockApplyArgs& args, ThreadPool* pool) {
  for_each_range(pool, args.rows, args.channels, 1, [&](std::int64_t begin, std::int64_t end) {
    BlockApplyArgs part = args;
    part.begin = begin;
    part.end = end;
    HWY_DYNAMIC_DISPATCH(block_apply)(part);
  });
}

}  // namespace

bool batch_norm_by_blocks(const BatchNormTraining& args, ThreadPool* pool) {
  const BatchNormGroups& groups = args.groups;
  if (!suits_blocks(groups, args.x, args.y, pool)) return false;
  BlockSumsArgs sums{BlockSums::kValues, groups.rows,  groups.channels, args.x, nullptr,
                     args.mean,          args.inv_std, args.y,          0,      0};
  const float count = static_cast<float>(groups.rows);
  take_block_sums(sums, pool);
  add_block_sums(sums, 0, args.mean);
  for (std::int64_t c = 0; c < groups.channels; ++c) args.mean[c] /= count;
  sums.what = BlockSums::kSquares;
  take_block_sums(sums, pool);
  add_block_sums(sums, 0, args.inv_std);
  for (std::int64_t c = 0; c < groups.channels; ++c) {
    const ColumnSpread spread =
        spread_of(args.inv_std[c], static_cast<double>(groups.rows), args.epsilon);
    if (args.variance != nullptr) args.variance[c] = spread.variance;
    args.inv_std[c] = spread.inv_std;
  }
  apply_to_rows({groups.rows, groups.channels, args.x, nullptr, args.mean, args.inv_std, args.scale,
                 args.bias, nullptr, nullptr, args.y, 0, 0},
                pool);
  return true;
}

bool batch_norm_grad_by_blocks(const BatchNormTrainingGrad& args, ThreadPool* pool) {
  const BatchNormGroups& groups = args.groups;
  if (args.dx == args.x || !suits_blocks(groups, args.dy, args.dx, pool)) return false;
  const BlockSumsArgs sums{BlockSums::kSlopes, groups.rows,  groups.channels, args.x, args.dy,
                           args.mean,          args.inv_std, args.dx,         0,      0};
  take_block_sums(sums, pool);
  add_block_sums(sums, 0, args.dbias);
  add_block_sums(sums, 1, args.dscale);
  apply_to_rows({groups.rows, groups.channels, args.x, args.dy, args.mean, args.inv_std, args.scale,
                 nullptr, args.dscale, args.dbias, args.dx, 0, 0},
                pool);
  return true;
}

}  // namespace batchwise::cpu
#endif  // HWY_ONCE

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "backend/cpu/normalization.h"
#include "backend/cpu/normalization_columns.h"
#include "backend/cpu/parallel_range.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/normalization_batch.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "backend/cpu/normalization_columns-inl.h"
#include "backend/cpu/vector_lanes-inl.h"

#ifndef BATCHWISE_BACKEND_CPU_NORMALIZATION_BATCH_ARGS
#define BATCHWISE_BACKEND_CPU_NORMALIZATION_BATCH_ARGS
namespace batchwise::cpu {
struct ScaleShiftArgs {
  std::int64_t channels, inner;
  const float* factor;
  const float* shift;
  const float* x;
  float* y;
  std::int64_t begin, end;  // rows of channels (inner = 1), or of inner
};

// Items [begin, end) of groups x chunks of channels.
template <class Job>
struct BatchNormRange {
  const Job& job;
  std::int64_t begin, end;
};
}  // namespace batchwise::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu {
namespace HWY_NAMESPACE {

struct ScaleShiftKernel {
  template <class D>
  void operator()(D d, const ScaleShiftArgs& args) const {
    for (std::int64_t row = args.begin; row < args.end; ++row) {
      if (args.inner == 1) {
        const float* x = args.x + row * args.channels;
        float* y = args.y + row * args.channels;
        for_each_vector(d, 0, args.channels, [&](auto io, std::int64_t c) HWY_ATTR {
          const auto shift = io.load(args.shift + c);
          io.store(hn::MulAdd(io.load(x + c), io.load(args.factor + c), shift), y + c);
        });
      } else {
        const float* x = args.x + row * args.inner;
        float* y = args.y + row * args.inner;
        const auto factor = hn::Set(d, args.factor[row % args.channels]);
        const auto shift = hn::Set(d, args.shift[row % args.channels]);
        for_each_vector(d, 0, args.inner, [&](auto io, std::int64_t i) HWY_ATTR {
          io.store(hn::MulAdd(io.load(x + i), factor, shift), y + i);
        });
      }
    }
  }
};

HWY_INLINE ColumnChunk chunk_of(const BatchNormGroups& groups, std::int64_t item) {
  const std::int64_t chunks = (groups.channels + kChannelChunk - 1) / kChannelChunk;
  const std::int64_t first = item % chunks * kChannelChunk;
  const std::int64_t last =
      first + kChannelChunk < groups.channels ? first + kChannelChunk : groups.channels;
  return {groups.channels, groups.begin(item / chunks), groups.end(item / chunks), first, last};
}

struct BatchNormTrainingKernel {
  template <class D>
  static HWY_INLINE void run_item(D d, const BatchNormTraining& args, std::int64_t item) {
    const ColumnChunk chunk = chunk_of(args.groups, item);
    const std::int64_t chunks = (chunk.channels + kChannelChunk - 1) / kChannelChunk;
    const std::int64_t moments = item / chunks * chunk.channels + chunk.first;
    const std::int64_t width = chunk.last - chunk.first;
    const auto divisor = hn::Set(d, static_cast<float>(chunk.end - chunk.begin));
    HWY_ALIGN float mean[1][kChannelChunk];
    HWY_ALIGN float square[1][kChannelChunk];
    HWY_ALIGN float factor[kChannelChunk];
    sum_columns_of<1>(
        d, chunk,
        [&](auto io, std::int64_t at, std::int64_t, hn::Vec<D>* term)
            HWY_ATTR { term[0] = io.load(args.x + at); },
        mean);
    for_each_vector(d, 0, width, [&](auto io, std::int64_t k) HWY_ATTR {
      io.store(hn::Div(io.load(mean[0] + k), divisor), mean[0] + k);
    });
    sum_columns_of<1>(
        d, chunk,
        [&](auto io, std::int64_t at, std::int64_t k, hn::Vec<D>* term) HWY_ATTR {
          const auto distance = hn::Sub(io.load(args.x + at), io.load(mean[0] + k));
          term[0] = hn::Mul(distance, distance);
        },
        square);
    const auto rows = static_cast<double>(chunk.end - chunk.begin);
    for (std::int64_t k = 0; k < width; ++k) {
      const ColumnSpread spread = spread_of(square[0][k], rows, args.epsilon);
      args.mean[moments + k] = mean[0][k];
      if (args.variance != nullptr) args.variance[moments + k] = spread.variance;
      args.inv_std[moments + k] = spread.inv_std;
      factor[k] = spread.inv_std * args.scale[chunk.first + k];
    }
    const float* bias = args.bias + chunk.first;
    for_each_element(d, chunk, [&](auto io, std::int64_t at, std::int64_t k) HWY_ATTR {
      const auto centered = hn::Sub(io.load(args.x + at), io.load(mean[0] + k));
      io.store(hn::MulAdd(centered, io.load(factor + k), io.load(bias + k)), args.y + at);
    });
  }

  template <class D>
  void operator()(D d, const BatchNormRange<BatchNormTraining>& range) const {
    for (std::int64_t item = range.begin; item < range.end; ++item) run_item(d, range.job, item);
  }
};

struct BatchNormTrainingGradKernel {
  template <class D>
  static HWY_INLINE void run_item(D d, const BatchNormTrainingGrad& args, std::int64_t item) {
    const ColumnChunk chunk = chunk_of(args.groups, item);
    const std::int64_t chunks = (chunk.channels + kChannelChunk - 1) / kChannelChunk;
    const std::int64_t moments = item / chunks * chunk.channels + chunk.first;
    const std::int64_t width = chunk.last - chunk.first;
    const float* mean = args.mean + moments;
    const float* inv_std = args.inv_std + moments;
    const float* scale = args.scale + chunk.first;
    HWY_ALIGN float sums[2][kChannelChunk];  // of dy, and of dy * normalized x
    sum_columns_of<2>(
        d, chunk,
        [&](auto io, std::int64_t at, std::int64_t k, hn::Vec<D>* term) HWY_ATTR {
          const auto centered = hn::Sub(io.load(args.x + at), io.load(mean + k));
          term[0] = io.load(args.dy + at);
          term[1] = hn::Mul(term[0], hn::Mul(centered, io.load(inv_std + k)));
        },
        sums);
    const auto divisor = hn::Set(d, static_cast<float>(chunk.end - chunk.begin));
    HWY_ALIGN float factor[kChannelChunk];
    for_each_vector(d, 0, width, [&](auto io, std::int64_t k) HWY_ATTR {
      const auto dbias = io.load(sums[0] + k);
      const auto dscale = io.load(sums[1] + k);
      io.store(dbias, args.dbias + moments + k);
      io.store(dscale, args.dscale + moments + k);
      io.store(hn::Div(dbias, divisor), sums[0] + k);
      io.store(hn::Div(dscale, divisor), sums[1] + k);
      io.store(hn::Mul(io.load(scale + k), io.load(inv_std + k)), factor + k);
    });
    if (args.dx == nullptr) return;
    for_each_element(d, chunk, [&](auto io, std::int64_t at, std::int64_t k) HWY_ATTR {
      const auto centered = hn::Sub(io.load(args.x + at), io.load(mean + k));
      const auto normalized = hn::Mul(centered, io.load(inv_std + k));
      const auto slope = hn::Sub(io.load(args.dy + at), io.load(sums[0] + k));
      const auto rest = hn::NegMulAdd(normalized, io.load(sums[1] + k), slope);
      io.store(hn::Mul(io.load(factor + k), rest), args.dx + at);
    });
  }

  template <class D>
  void operator()(D d, const BatchNormRange<BatchNormTrainingGrad>& range) const {
    for (std::int64_t item = range.begin; item < range.end; ++item) run_item(d, range.job, item);
  }
};

void scale_shift_range(const ScaleShiftArgs& args) { at_vector_width<ScaleShiftKernel>(args); }
void batch_norm_range(const BatchNormRange<BatchNormTraining>& range) {
  at_vector_width<BatchNormTrainingKernel>(range);
}
void batch_norm_grad_range(const BatchNormRange<BatchNormTrainingGrad>& range) {
  at_vector_width<BatchNormTrainingGradKernel>(range);
}

}  // namespace HWY_NAMESPACE
}  // namespace batchwise::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {

HWY_EXPORT(scale_shift_range);
HWY_EXPORT(batch_norm_range);
HWY_EXPORT(batch_norm_grad_range);

void batch_norm_fold(std::int64_t channels, const float* scale, const float* bias,
                     const float* mean, const float* variance, float epsilon, float* factor,
                     float* shift) {
  for (std::int64_t c = 0; c < channels; ++c) {
    factor[c] = scale[c] / std::sqrt(variance[c] + epsilon);
    shift[c] = bias[c] - mean[c] * factor[c];
  }
}

void scale_shift_channels(std::int64_t outer, std::int64_t channels, std::int64_t inner,
                          const float* factor, const float* shift, const float* x, float* y,
                          ThreadPool* pool) {
  const std::int64_t rows = inner == 1 ? outer : outer * channels;
  for_each_range(pool, rows, inner == 1 ? channels : inner, 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   HWY_DYNAMIC_DISPATCH(scale_shift_range)
                   ({channels, inner, factor, shift, x, y, begin, end});
                 });
}

namespace {

template <class Body>
void for_each_batch_norm_item(const BatchNormGroups& groups, ThreadPool* pool, const Body& body) {
  if (groups.rows <= 0) return;
  const std::int64_t chunks = (groups.channels + kChannelChunk - 1) / kChannelChunk;
  const std::int64_t items = groups.groups() * chunks;
  for_each_range(pool, items, groups.rows * groups.channels / std::max<std::int64_t>(items, 1), 1,
                 body);
}

}  // namespace

void batch_norm_training(const BatchNormTraining& args, ThreadPool* pool) {
  if (batch_norm_by_blocks(args, pool)) return;
  for_each_batch_norm_item(args.groups, pool, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(batch_norm_range)({args, begin, end});
  });
}

void batch_norm_training_grad(const BatchNormTrainingGrad& args, ThreadPool* pool) {
  if (batch_norm_grad_by_blocks(args, pool)) return;
  for_each_batch_norm_item(args.groups, pool, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(batch_norm_grad_range)({args, begin, end});
  });
}

void update_running_moment(std::int64_t groups, std::int64_t channels, float momentum,
                           const float* values, float* running) {
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::int64_t c = 0; c < channels; ++c) {
      running[c] = running[c] * momentum + values[g * channels + c] * (1.0f - momentum);
    }
  }
}

}  // namespace batchwise::cpu
#endif  // HWY_ONCE

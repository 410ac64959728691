// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/conv_depthwise_gradient.h"

#include <algorithm>

#include "backend/cpu/conv_gradient_blocks.h"

namespace batchwise::cpu {
namespace {

// Channels done at once over all taps: a block of their x and dy stays in the second cache.
constexpr std::int64_t kChannels = 64;

struct Job {
  const ConvShape& s;
  const ConvKernels& kernels;
  const float* x;
  const float* dy;
};

// One tap over one block of positions: channels [first, first + count).
void run_tap(const Job& job, std::int64_t sample, const PositionBlock& block, std::int64_t tap,
             std::int64_t first, std::int64_t count, float* sum, bool add) {
  const ConvShape& s = job.s;
  const std::int64_t dh = tap / s.kernel_w * s.dilation_h - s.pad_top;
  const std::int64_t dw = tap % s.kernel_w * s.dilation_w - s.pad_left;
  const AxisRange h = inside_range(block.h_begin, block.h_end, s.stride_h, dh, s.in_height);
  const AxisRange w = inside_range(block.w_begin, block.w_end, s.stride_w, dw, s.in_width);
  ConvDepthwiseGradient see{};
  if (h.count() > 0 && w.count() > 0) {
    const std::int64_t in_row = sample * s.in_height + h.begin * s.stride_h + dh;
    const std::int64_t out_row = sample * s.out_height + h.begin;
    see.x = job.x + (in_row * s.in_width + w.begin * s.stride_w + dw) * s.in_channels + first;
    see.dy = job.dy + (out_row * s.out_width + w.begin) * s.in_channels + first;
    see.height = h.count();
    see.width = w.count();
  }
  see.x_step = s.stride_w * s.in_channels;
  see.x_row_step = s.stride_h * s.in_width * s.in_channels;
  see.dy_step = s.in_channels;
  see.dy_row_step = s.out_width * s.in_channels;
  see.channels = count;
  see.sum = sum;
  see.add = add;
  job.kernels.depthwise_gradient(see);
}

// Taps [taps.begin, taps.end) of channels [first, first + count), all samples. `sums` is [tap][64].
void run_channels(const Job& job, AxisRange taps, std::int64_t first, std::int64_t count, float* dw,
                  bool accumulate, float* sums) {
  const ConvShape& s = job.s;
  const PositionBlocks blocks(s);
  for (std::int64_t sample = 0; sample < s.batch; ++sample) {
    for (std::int64_t i = 0; i < blocks.count(); ++i) {
      for (std::int64_t tap = taps.begin; tap < taps.end; ++tap) {
        run_tap(job, sample, blocks.block(i), tap, first, count, sums + tap * kChannels, i > 0);
      }
    }
    const bool add = accumulate || sample > 0;
    for (std::int64_t tap = taps.begin; tap < taps.end; ++tap) {
      float* to = dw + tap * s.in_channels + first;
      const float* from = sums + tap * kChannels;
      for (std::int64_t c = 0; c < count; ++c) to[c] = (add ? to[c] : 0.0f) + from[c];
    }
  }
}

}  // namespace

std::int64_t depthwise_gradient_scratch_floats(const ConvShape& shape) {
  return shape.taps() * kChannels;
}

void run_depthwise_gradient(const ConvShape& s, const ConvKernels& kernels, const float* x,
                            const float* dy, float* dw, bool accumulate, ThreadPool& pool,
                            float* scratch) {
  if (s.batch == 0 && !accumulate) std::fill_n(dw, s.taps() * s.in_channels, 0.0f);
  const Job job{s, kernels, x, dy};
  const int threads = pool.threads();
  const bool split_channels = s.in_channels >= threads * kConvPanel;
  pool.run([&](int part) {
    AxisRange taps{0, s.taps()}, channels{0, s.in_channels};
    const PartRange range = split_channels ? part_range(s.in_channels, part, threads, kConvPanel)
                                           : part_range(s.taps(), part, threads);
    (split_channels ? channels : taps) = {range.begin, range.end};
    float* sums = scratch + part * depthwise_gradient_scratch_floats(s);
    for (std::int64_t c = channels.begin; c < channels.end; c += kChannels) {
      const std::int64_t count = std::min(kChannels, channels.end - c);
      run_channels(job, taps, c, count, dw, accumulate, sums);
    }
  });
}

}  // namespace batchwise::cpu

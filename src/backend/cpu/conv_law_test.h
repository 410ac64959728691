// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "backend/cpu/conv.h"
#include "backend/cpu/conv_gradient.h"
#include "backend/cpu/conv_strip.h"
#include "backend/cpu/dense_law_test.h"
#include "backend/cpu/kernel_settings_test.h"

// Convolutions as plain loops: in double, and by the law of summation, which kernels must give bit
// for bit. What the tests of convolutions share.
namespace batchwise::cpu {

struct ConvCase {
  const char* name;
  ConvShape shape;
};

// in {channels, height, width}, out channels, kernel, stride, dilation, pads {top, left, bottom,
// right}, groups.
struct Pads {
  std::int64_t top, left, bottom, right;
};
inline ConvShape make_shape(std::int64_t batch, std::int64_t channels, std::int64_t height,
                            std::int64_t width, std::int64_t out_channels, std::int64_t kernel_h,
                            std::int64_t kernel_w, std::int64_t stride = 1,
                            std::int64_t dilation = 1, Pads pads = {0, 0, 0, 0},
                            std::int64_t groups = 1) {
  ConvShape s;
  s.batch = batch;
  s.in_channels = channels;
  s.in_height = height;
  s.in_width = width;
  s.out_channels = out_channels;
  s.kernel_h = kernel_h;
  s.kernel_w = kernel_w;
  s.stride_h = s.stride_w = stride;
  s.dilation_h = s.dilation_w = dilation;
  s.pad_top = pads.top;
  s.pad_left = pads.left;
  s.pad_bottom = pads.bottom;
  s.pad_right = pads.right;
  s.groups = groups;
  s.out_height = (height + pads.top + pads.bottom - (kernel_h - 1) * dilation - 1) / stride + 1;
  s.out_width = (width + pads.left + pads.right - (kernel_w - 1) * dilation - 1) / stride + 1;
  return s;
}

inline std::vector<ConvCase> conv_cases() {
  ConvShape uneven = make_shape(2, 12, 9, 11, 20, 3, 2, 2, 1, {1, 0, 1, 1});
  uneven.stride_w = 3;
  uneven.out_width = (11 + 1 - 2) / 3 + 1;
  ConvShape step_over = make_shape(2, 9, 8, 8, 17, 1, 1, 3);
  return {
      {"3x3", make_shape(2, 16, 9, 10, 32, 3, 3, 1, 1, {1, 1, 1, 1})},
      {"3x3 odd channels", make_shape(2, 13, 7, 6, 37, 3, 3, 1, 1, {1, 1, 1, 1})},
      {"3x3 many channels", make_shape(1, 300, 5, 4, 70, 3, 3, 1, 1, {1, 1, 1, 1})},
      {"3x3 stride 2", make_shape(2, 24, 11, 11, 16, 3, 3, 2, 1, {1, 1, 1, 1})},
      {"3x3 dilation 2", make_shape(2, 10, 12, 11, 18, 3, 3, 1, 2, {2, 2, 2, 2})},
      {"uneven strides and pads", uneven},
      {"1x1", make_shape(2, 40, 6, 7, 50, 1, 1)},
      {"1x1 long", make_shape(2, 600, 3, 3, 33, 1, 1)},
      {"1x1 stride 2", make_shape(2, 20, 7, 8, 40, 1, 1, 2)},
      {"1x1 stride 3, rows that nothing reads", step_over},
      {"1x1 on one position", make_shape(3, 70, 1, 1, 90, 1, 1)},
      {"kernel as large as the input", make_shape(2, 20, 5, 5, 30, 5, 5)},
      {"stem 7x7 stride 2", make_shape(2, 3, 19, 21, 34, 7, 7, 2, 1, {3, 3, 3, 3})},
      {"stem 5x5", make_shape(2, 1, 28, 28, 32, 5, 5, 1, 1, {2, 2, 2, 2})},
      {"stem, one-sided pads", make_shape(2, 2, 8, 9, 5, 3, 4, 1, 1, {0, 2, 1, 0})},
      {"stem, rows apart", make_shape(1, 3, 9, 9, 8, 3, 3, 1, 2, {2, 2, 2, 2})},
      {"groups", make_shape(2, 24, 6, 7, 36, 3, 3, 1, 1, {1, 1, 1, 1}, 3)},
      {"groups of one channel", make_shape(2, 6, 6, 7, 12, 3, 3, 1, 1, {1, 1, 1, 1}, 6)},
      {"depthwise", make_shape(2, 75, 9, 8, 75, 3, 3, 1, 1, {1, 1, 1, 1}, 75)},
      {"depthwise stride 2", make_shape(2, 20, 9, 10, 20, 5, 5, 2, 1, {2, 2, 2, 2}, 20)},
      {"depthwise, more than 256 taps", make_shape(1, 5, 20, 20, 5, 17, 17, 1, 1, {8, 8, 8, 8}, 5)},
      {"one dimension", make_shape(2, 8, 1, 40, 24, 1, 5, 1, 1, {0, 2, 0, 2})},
      {"one dimension, few channels", make_shape(2, 2, 1, 600, 6, 1, 9, 1, 1, {0, 4, 0, 4})},
      {"positions beyond a block", make_shape(2, 9, 20, 33, 17, 3, 3, 1, 1, {1, 1, 1, 1})},
      {"short rows, two to a tile", make_shape(3, 40, 7, 7, 36, 3, 3, 1, 1, {1, 1, 1, 1})},
      {"short rows, stride 2", make_shape(3, 40, 13, 13, 36, 1, 1, 2)},
      {"rows of few positions", make_shape(5, 17, 5, 3, 20, 3, 3, 1, 1, {1, 1, 1, 1})},
      {"rows longer than a block", make_shape(2, 9, 3, 301, 17, 3, 3, 1, 1, {1, 1, 1, 1})},
      {"rows longer than a block, stride 3", make_shape(1, 3, 2, 900, 5, 1, 7, 3)},
      {"a grouped 1x1", make_shape(2, 24, 6, 20, 48, 1, 1, 1, 1, {0, 0, 0, 0}, 3)},
  };
}

// Calls f(x index, weight index, y index, term) for every product of a convolution that is not with
// the padding; `term` numbers an output element's products in the order of the law.
template <typename F>
void for_each_product(const ConvShape& s, const F& f) {
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t oh = 0; oh < s.out_height; ++oh)
      for (std::int64_t ow = 0; ow < s.out_width; ++ow)
        for (std::int64_t oc = 0; oc < s.out_channels; ++oc)
          for (std::int64_t kh = 0; kh < s.kernel_h; ++kh)
            for (std::int64_t kw = 0; kw < s.kernel_w; ++kw) {
              const std::int64_t ih = oh * s.stride_h + kh * s.dilation_h - s.pad_top;
              const std::int64_t iw = ow * s.stride_w + kw * s.dilation_w - s.pad_left;
              if (ih < 0 || ih >= s.in_height || iw < 0 || iw >= s.in_width) continue;
              for (std::int64_t i = 0; i < s.group_in(); ++i) {
                const std::int64_t ic = oc / s.group_out() * s.group_in() + i;
                f(((n * s.in_height + ih) * s.in_width + iw) * s.in_channels + ic,
                  ((oc * s.group_in() + i) * s.kernel_h + kh) * s.kernel_w + kw,
                  ((n * s.out_height + oh) * s.out_width + ow) * s.out_channels + oc,
                  (kh * s.kernel_w + kw) * s.group_in() + i);
              }
            }
}

// Sums of blocks, kept for many elements at once: a term opens a new block when its number says so.
class BlockSums {
 public:
  BlockSums(std::int64_t elements, bool fused)
      : fused_(fused),
        total_(static_cast<std::size_t>(elements)),
        sum_(total_.size()),
        block_(total_.size(), -1) {}
  void add(std::int64_t element, std::int64_t block, float a, float b) {
    const auto i = static_cast<std::size_t>(element);
    if (block != block_[i]) close(i);
    block_[i] = block;
    sum_[i] = add_term(sum_[i], a, b, fused_);
  }
  std::vector<float> finish() {
    for (std::size_t i = 0; i < total_.size(); ++i) close(i);
    return total_;
  }

 private:
  void close(std::size_t i) {
    total_[i] += sum_[i];
    sum_[i] = 0;
  }
  bool fused_;
  std::vector<float> total_, sum_;
  std::vector<std::int64_t> block_;
};

// The block of term `term` of sums over taps of `run` terms.
inline std::int64_t block_of(std::int64_t term, std::int64_t run) {
  if (run > 256) return term / run * ((run + 255) / 256) + term % run / 256;
  return term / run / (256 / run);
}

inline std::vector<float> forward_by_law(const ConvShape& s, const float* x, const float* w,
                                         bool fused) {
  BlockSums sums(s.batch * s.out_positions() * s.out_channels, fused);
  const bool whole_rows = conv_uses_padded_rows(s);
  const std::int64_t run = whole_rows ? s.kernel_w * s.in_channels : s.group_in();
  for_each_product(s, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi, std::int64_t term) {
    sums.add(yi, block_of(term, run), x[xi], w[wi]);
  });
  return sums.finish();
}

// Terms are (tap, output channel); taps are numbered among those that reach the position's phase,
// whether or not they lie in the padding.
inline std::vector<float> input_gradient_by_law(const ConvShape& s, const float* dy, const float* w,
                                                bool fused) {
  BlockSums sums(s.batch * s.in_positions() * s.in_channels, fused);
  const auto reaches = [](std::int64_t at, std::int64_t k, std::int64_t dilation, std::int64_t pad,
                          std::int64_t stride) { return (at + pad - k * dilation) % stride == 0; };
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t ih = 0; ih < s.in_height; ++ih)
      for (std::int64_t iw = 0; iw < s.in_width; ++iw) {
        std::int64_t tap = -1;
        for (std::int64_t kh = 0; kh < s.kernel_h; ++kh)
          for (std::int64_t kw = 0; kw < s.kernel_w; ++kw) {
            if (!reaches(ih, kh, s.dilation_h, s.pad_top, s.stride_h)) continue;
            if (!reaches(iw, kw, s.dilation_w, s.pad_left, s.stride_w)) continue;
            ++tap;
            const std::int64_t up = ih + s.pad_top - kh * s.dilation_h;
            const std::int64_t left = iw + s.pad_left - kw * s.dilation_w;
            if (up < 0 || up / s.stride_h >= s.out_height) continue;
            if (left < 0 || left / s.stride_w >= s.out_width) continue;
            const std::int64_t position =
                (n * s.out_height + up / s.stride_h) * s.out_width + left / s.stride_w;
            for (std::int64_t ic = 0; ic < s.in_channels; ++ic) {
              const std::int64_t group = ic / s.group_in();
              for (std::int64_t o = 0; o < s.group_out(); ++o) {
                const std::int64_t oc = group * s.group_out() + o;
                const std::int64_t wi =
                    ((oc * s.group_in() + ic % s.group_in()) * s.kernel_h + kh) * s.kernel_w + kw;
                sums.add(((n * s.in_height + ih) * s.in_width + iw) * s.in_channels + ic,
                         block_of(tap * s.group_out() + o, s.group_out()),
                         dy[position * s.out_channels + oc], w[wi]);
              }
            }
          }
      }
  return sums.finish();
}

// dw (O x I x KH x KW) += sample by sample.
inline void add_weight_gradient_by_law(const ConvShape& s, const float* x, const float* dy,
                                       float* dw, bool fused) {
  ConvShape one = s;
  one.batch = 1;
  const std::int64_t floats = s.out_channels * s.group_in() * s.taps();
  const std::int64_t rows = std::max<std::int64_t>(256 / s.out_width, 1);
  const std::int64_t pieces = (s.out_width + 255) / 256;
  for (std::int64_t n = 0; n < s.batch; ++n) {
    BlockSums sums(floats, fused);
    const float* xn = x + n * s.in_positions() * s.in_channels;
    const float* dyn = dy + n * s.out_positions() * s.out_channels;
    for_each_product(one, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi, std::int64_t) {
      const std::int64_t position = yi / s.out_channels;
      const std::int64_t block =
          position / s.out_width / rows * pieces + position % s.out_width / 256;
      sums.add(wi, block, xn[xi], dyn[yi]);
    });
    const auto sample = sums.finish();
    for (std::int64_t i = 0; i < floats; ++i) dw[i] += sample[static_cast<std::size_t>(i)];
  }
}

inline std::int64_t weight_floats(const ConvShape& s) {
  return s.out_channels * s.group_in() * s.taps();
}
inline std::int64_t x_floats(const ConvShape& s) {
  return s.batch * s.in_positions() * s.in_channels;
}
inline std::int64_t y_floats(const ConvShape& s) {
  return s.batch * s.out_positions() * s.out_channels;
}

inline GuardedFloats random_guarded(std::int64_t count, std::uint64_t seed) {
  GuardedFloats floats(count);
  fill_random(floats, seed);
  return floats;
}

inline GuardedFloats byte_scratch(std::size_t bytes) {
  return GuardedFloats(static_cast<std::int64_t>((bytes + 3) / 4));
}

// Runs the three passes on guarded buffers; `kernels` replaces those of the instruction set.
struct ConvRun {
  std::vector<float> y, dx, dw;
  bool guards_are_whole = true;
};

inline std::vector<float> copy_of(const GuardedFloats& floats) {
  return {floats.data(), floats.data() + floats.size()};
}

inline std::vector<float> run_pass(ConvPass pass, const float* x, const float* packed,
                                   std::int64_t out_floats, const Epilogue& epilogue,
                                   ThreadPool& pool, const ConvKernels* kernels, bool& whole) {
  if (kernels != nullptr) pass.kernels = kernels;
  GuardedFloats y(out_floats);
  GuardedFloats scratch = byte_scratch(conv_scratch_bytes(pass, pool.threads()));
  run_conv(pass, x, packed, y.data(), epilogue, pool, scratch.data());
  whole = whole && y.guards_are_whole() && scratch.guards_are_whole();
  return copy_of(y);
}

inline std::vector<float> run_weight_gradient(const ConvShape& s, const float* x, const float* dy,
                                              std::int64_t piece, ThreadPool& pool,
                                              const ConvKernels* kernels, bool& whole) {
  GuardedFloats packed(static_cast<std::int64_t>(conv_weight_gradient_floats(s)));
  for (std::int64_t first = 0; first < s.batch; first += piece) {
    ConvShape part = s;
    part.batch = std::min(piece, s.batch - first);
    auto gradient = prepare_conv_weight_gradient(part);
    if (kernels != nullptr) gradient.kernels = kernels;
    GuardedFloats scratch =
        byte_scratch(conv_weight_gradient_scratch_bytes(gradient, pool.threads()));
    run_conv_weight_gradient(gradient, x + first * s.in_positions() * s.in_channels,
                             dy + first * s.out_positions() * s.out_channels, packed.data(),
                             first > 0, pool, scratch.data());
    whole = whole && scratch.guards_are_whole();
  }
  GuardedFloats dw(weight_floats(s));
  unpack_conv_weight_gradient(s, packed.data(), dw.data(), pool);
  whole = whole && packed.guards_are_whole() && dw.guards_are_whole();
  return copy_of(dw);
}

inline ConvRun run_all(const ConvShape& s, const float* x, const float* w, const float* dy,
                       ThreadPool& pool, const ConvKernels* kernels = nullptr) {
  ConvRun run;
  GuardedFloats forward(static_cast<std::int64_t>(packed_conv_floats(s)));
  GuardedFloats backward(static_cast<std::int64_t>(packed_conv_input_gradient_floats(s)));
  pack_conv_forward(s, w, forward.data(), &pool);
  pack_conv_input_gradient(s, w, backward.data(), &pool);
  run.guards_are_whole = forward.guards_are_whole() && backward.guards_are_whole();
  bool& whole = run.guards_are_whole;
  run.y =
      run_pass(prepare_conv_forward(s), x, forward.data(), y_floats(s), {}, pool, kernels, whole);
  run.dx = run_pass(prepare_conv_input_gradient(s), dy, backward.data(), x_floats(s), {}, pool,
                    kernels, whole);
  run.dw = run_weight_gradient(s, x, dy, s.batch, pool, kernels, whole);
  return run;
}

}  // namespace batchwise::cpu

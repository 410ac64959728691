// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "backend/cpu/conv_shape.h"

namespace batchwise::cpu {

// True where a tap is a whole row of the kernel over a padded copy of the input, because the run of
// input channels alone is too short for an inner loop. A function of the layer.
inline bool conv_uses_padded_rows(const ConvShape& s) {
  constexpr std::int64_t kFewChannels = 8;
  return s.groups == 1 && s.in_channels < kFewChannels && s.dilation_w == 1 && s.kernel_w > 1;
}

// A padded copy of the input rows that some output rows read.
struct ConvStrip {
  std::int64_t in_height, in_width, channels;
  std::int64_t pad_top, pad_left, stride_h, reach_h;
  std::int64_t width;  // padded, in pixels

  std::int64_t height(std::int64_t out_rows) const { return (out_rows - 1) * stride_h + reach_h; }
  std::int64_t floats(std::int64_t out_rows) const { return height(out_rows) * width * channels; }

  // Fills `strip` for output rows [first, first + out_rows) of the sample at x.
  void fill(const float* x, std::int64_t first, std::int64_t out_rows, float* strip) const {
    const std::int64_t row_floats = width * channels;
    const std::int64_t left = pad_left * channels;
    const std::int64_t begin = first * stride_h - pad_top;
    for (std::int64_t h = begin; h < begin + height(out_rows); ++h, strip += row_floats) {
      if (h < 0 || h >= in_height) {
        std::fill_n(strip, row_floats, 0.0f);
        continue;
      }
      float* pixels = std::fill_n(strip, left, 0.0f);
      std::memcpy(pixels, x + h * in_width * channels,
                  static_cast<std::size_t>(in_width * channels) * sizeof(float));
      std::fill(pixels + in_width * channels, strip + row_floats, 0.0f);
    }
  }
};

inline ConvStrip conv_strip(const ConvShape& s) {
  const std::int64_t read = (s.out_width - 1) * s.stride_w + s.kernel_w;
  return {s.in_height,
          s.in_width,
          s.in_channels,
          s.pad_top,
          s.pad_left,
          s.stride_h,
          (s.kernel_h - 1) * s.dilation_h + 1,
          std::max(s.in_width + s.pad_left, read)};
}

}  // namespace batchwise::cpu

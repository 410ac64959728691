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

// Copies rows and columns of a sample [height][width][channels], with zeros where they lie outside.
struct PaddedCopy {
  std::int64_t in_height, in_width, channels;

  // Rows [h_begin, h_begin + rows) and columns [w_begin, w_begin + width).
  void fill(const float* x, std::int64_t h_begin, std::int64_t rows, std::int64_t w_begin,
            std::int64_t width, float* to) const {
    const std::int64_t first = std::max<std::int64_t>(w_begin, 0);
    const std::int64_t inside =
        std::max<std::int64_t>(std::min(w_begin + width, in_width) - first, 0);
    const std::int64_t left = std::min(first - w_begin, width);
    for (std::int64_t h = h_begin; h < h_begin + rows; ++h, to += width * channels) {
      if (h < 0 || h >= in_height || inside == 0) {
        std::fill_n(to, width * channels, 0.0f);
        continue;
      }
      float* pixels = std::fill_n(to, left * channels, 0.0f);
      std::memcpy(pixels, x + (h * in_width + first) * channels,
                  static_cast<std::size_t>(inside * channels) * sizeof(float));
      std::fill(pixels + inside * channels, to + width * channels, 0.0f);
    }
  }
};

// A padded copy of the input rows that some output rows read.
struct ConvStrip {
  PaddedCopy copy;
  std::int64_t pad_top, pad_left, stride_h, reach_h;
  std::int64_t width;  // padded, in pixels

  std::int64_t height(std::int64_t out_rows) const { return (out_rows - 1) * stride_h + reach_h; }
  std::int64_t floats(std::int64_t out_rows) const {
    return height(out_rows) * width * copy.channels;
  }

  // Fills `strip` for output rows [first, first + out_rows) of the sample at x.
  void fill(const float* x, std::int64_t first, std::int64_t out_rows, float* strip) const {
    copy.fill(x, first * stride_h - pad_top, height(out_rows), -pad_left, width, strip);
  }
};

inline ConvStrip conv_strip(const ConvShape& s) {
  const std::int64_t read = (s.out_width - 1) * s.stride_w + s.kernel_w;
  return {{s.in_height, s.in_width, s.in_channels},
          s.pad_top,
          s.pad_left,
          s.stride_h,
          (s.kernel_h - 1) * s.dilation_h + 1,
          std::max(s.in_width + s.pad_left, read)};
}

}  // namespace batchwise::cpu

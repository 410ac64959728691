// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace batchwise::cpu {

// A 2-d convolution over channels-last activations (N,H,W,C) with weights O x I/groups x KH x KW.
// A 1-d convolution has height and kernel_h 1. The output's size is given, not derived: with it
// pad_bottom and pad_right follow, and are kept for the reader only.
struct ConvShape {
  std::int64_t batch = 1;
  std::int64_t in_channels = 1, in_height = 1, in_width = 1;
  std::int64_t out_channels = 1, out_height = 1, out_width = 1;
  std::int64_t kernel_h = 1, kernel_w = 1;
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t dilation_h = 1, dilation_w = 1;
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  std::int64_t groups = 1;

  std::int64_t group_in() const { return in_channels / groups; }
  std::int64_t group_out() const { return out_channels / groups; }
  std::int64_t taps() const { return kernel_h * kernel_w; }
  std::int64_t in_positions() const { return in_height * in_width; }
  std::int64_t out_positions() const { return out_height * out_width; }
  // Every channel by itself, so that vectors run over channels.
  bool is_depthwise() const {
    return groups == in_channels && groups == out_channels && groups > 1;
  }
};

}  // namespace batchwise::cpu

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "ops/op.h"

namespace batchwise {

// A convolution's or pooling's windows with everything explicit: one entry a spatial axis in each
// vector. Output position o covers input positions o * stride - pad_begin + t * dilation for each
// tap t < kernel. pad_end is what the attributes say: windows of a pooling with ceil_mode may go
// beyond it.
struct WindowGeometry {
  std::vector<std::int64_t> in, out, kernel, stride, dilation, pad_begin, pad_end;

  int axes() const { return static_cast<int>(in.size()); }
  std::int64_t in_positions() const;
  std::int64_t out_positions() const;
  std::int64_t taps() const;
};

// A convolution: N x channels x in -> N x out_channels x out.
struct ConvGeometry : WindowGeometry {
  std::int64_t batch = 1, in_channels = 1, out_channels = 1, groups = 1;

  std::int64_t group_in() const { return in_channels / groups; }
  std::int64_t group_out() const { return out_channels / groups; }
};

// The geometry of a Conv, ConvGradInput or ConvGradWeight node, all padding forms resolved. Throws
// Error naming the node where attributes and shapes do not fit, or where it is neither 1-d nor 2-d.
ConvGeometry conv_geometry(const NodeView& view);

// The same of MaxPool, AveragePool and their gradient nodes, ceil_mode included.
WindowGeometry pool_geometry(const NodeView& view);

// N x C followed by the geometry's input or output positions.
Shape with_spatial(std::int64_t batch, std::int64_t channels,
                   const std::vector<std::int64_t>& spatial);

// The attributes that say the same geometry outright: kernel_shape, strides, dilations and pads,
// no auto_pad. The fast form in which gradient nodes carry it.
Attributes explicit_window(const WindowGeometry& geometry);
// explicit_window and group.
Attributes explicit_conv(const ConvGeometry& geometry);

}  // namespace batchwise

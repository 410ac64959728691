// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cpu/conv.h"

namespace batchwise::cpu {
namespace {

std::int64_t panels(std::int64_t columns) { return (columns + kConvPanel - 1) / kConvPanel; }

// Panels [group][panel][tap][row][16], padded with zeros, where element (group, tap, row, column)
// is weights[group * group_stride + tap + row * row_stride + column * column_stride].
void pack_panels(const ConvShape& s, const float* weights, std::int64_t rows, std::int64_t columns,
                 std::int64_t group_stride, std::int64_t row_stride, std::int64_t column_stride,
                 float* packed) {
  for (std::int64_t group = 0; group < s.groups; ++group) {
    for (std::int64_t first = 0; first < columns; first += kConvPanel) {
      const std::int64_t width = std::min(kConvPanel, columns - first);
      const float* from = weights + group * group_stride + first * column_stride;
      for (std::int64_t tap = 0; tap < s.taps(); ++tap) {
        for (std::int64_t row = 0; row < rows; ++row, packed += kConvPanel) {
          for (std::int64_t c = 0; c < width; ++c) {
            packed[c] = from[tap + row * row_stride + c * column_stride];
          }
          std::fill(packed + width, packed + kConvPanel, 0.0f);
        }
      }
    }
  }
}

void pack_depthwise(const ConvShape& s, const float* weights, float* packed) {
  for (std::int64_t tap = 0; tap < s.taps(); ++tap) {
    for (std::int64_t c = 0; c < s.in_channels; ++c) *packed++ = weights[c * s.taps() + tap];
  }
}

std::size_t packed_floats(const ConvShape& s, std::int64_t rows, std::int64_t columns) {
  if (s.is_depthwise()) return static_cast<std::size_t>(s.taps() * s.in_channels);
  return static_cast<std::size_t>(s.groups * panels(columns) * s.taps() * rows * kConvPanel);
}

}  // namespace

std::size_t packed_conv_floats(const ConvShape& s) {
  return packed_floats(s, s.group_in(), s.group_out());
}

void pack_conv_forward(const ConvShape& s, const float* weights, float* packed) {
  if (s.is_depthwise()) return pack_depthwise(s, weights, packed);
  pack_panels(s, weights, s.group_in(), s.group_out(), s.group_out() * s.group_in() * s.taps(),
              s.taps(), s.group_in() * s.taps(), packed);
}

std::size_t packed_conv_input_gradient_floats(const ConvShape& s) {
  return packed_floats(s, s.group_out(), s.group_in());
}

void pack_conv_input_gradient(const ConvShape& s, const float* weights, float* packed) {
  if (s.is_depthwise()) return pack_depthwise(s, weights, packed);
  pack_panels(s, weights, s.group_out(), s.group_in(), s.group_out() * s.group_in() * s.taps(),
              s.group_in() * s.taps(), s.taps(), packed);
}

}  // namespace batchwise::cpu

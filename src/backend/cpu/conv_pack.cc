// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cpu/conv.h"
#include "backend/cpu/parallel_range.h"

namespace batchwise::cpu {
namespace {

std::int64_t panels(std::int64_t columns) { return (columns + kConvPanel - 1) / kConvPanel; }

// Rows packed at once over all taps, so that the weights they come from stay in the first cache.
constexpr std::int64_t kRowsAtOnce = 16;

// Element (group, tap, row, column) is weights[group * group_stride + tap + row * row_stride +
// column * column_stride].
struct Source {
  const float* weights;
  std::int64_t rows, columns, group_stride, row_stride, column_stride;
};

void pack_panel(const float* from, const Source& source, std::int64_t taps, std::int64_t width,
                float* packed) {
  for (std::int64_t first = 0; first < source.rows; first += kRowsAtOnce) {
    const std::int64_t end = std::min(first + kRowsAtOnce, source.rows);
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      for (std::int64_t row = first; row < end; ++row) {
        const float* element = from + tap + row * source.row_stride;
        float* to = packed + (tap * source.rows + row) * kConvPanel;
        for (std::int64_t c = 0; c < width; ++c) to[c] = element[c * source.column_stride];
        std::fill(to + width, to + kConvPanel, 0.0f);
      }
    }
  }
}

// Panels [group][panel][tap][row][16], padded with zeros.
void pack_panels(const ConvShape& s, const Source& source, float* packed, ThreadPool* pool) {
  const std::int64_t group_panels = panels(source.columns);
  const std::int64_t panel_floats = s.taps() * source.rows * kConvPanel;
  for_each_range(
      pool, s.groups * group_panels, panel_floats, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t panel = begin; panel < end; ++panel) {
          const std::int64_t first = panel % group_panels * kConvPanel;
          const float* from = source.weights + panel / group_panels * source.group_stride +
                              first * source.column_stride;
          pack_panel(from, source, s.taps(), std::min(kConvPanel, source.columns - first),
                     packed + panel * panel_floats);
        }
      });
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

void pack_conv_forward(const ConvShape& s, const float* weights, float* packed, ThreadPool* pool) {
  if (s.is_depthwise()) return pack_depthwise(s, weights, packed);
  const std::int64_t out_stride = s.group_in() * s.taps();
  pack_panels(
      s, {weights, s.group_in(), s.group_out(), s.group_out() * out_stride, s.taps(), out_stride},
      packed, pool);
}

std::size_t packed_conv_input_gradient_floats(const ConvShape& s) {
  return packed_floats(s, s.group_out(), s.group_in());
}

void pack_conv_input_gradient(const ConvShape& s, const float* weights, float* packed,
                              ThreadPool* pool) {
  if (s.is_depthwise()) return pack_depthwise(s, weights, packed);
  const std::int64_t out_stride = s.group_in() * s.taps();
  pack_panels(
      s, {weights, s.group_out(), s.group_in(), s.group_out() * out_stride, out_stride, s.taps()},
      packed, pool);
}

}  // namespace batchwise::cpu

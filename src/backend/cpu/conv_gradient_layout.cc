// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cpu/conv_gradient.h"

namespace batchwise::cpu {
namespace {

// Where a panel of out channels begins: in weights, [column][row][tap], and in dw,
// [tap][row][column].
struct Panel {
  std::int64_t weights, dw, width;
};

struct GradientLayout {
  std::int64_t groups, columns, stride, rows, taps;

  explicit GradientLayout(const ConvShape& s)
      : groups(s.is_depthwise() ? 1 : s.groups),
        columns(s.out_channels / groups),
        stride(s.is_depthwise() ? columns : panels() * kConvPanel),
        rows(s.is_depthwise() ? 1 : s.group_in()),
        taps(s.taps()) {}
  std::int64_t panels() const { return (columns + kConvPanel - 1) / kConvPanel; }
  Panel panel(std::int64_t i) const {
    const std::int64_t group = i / panels();
    const std::int64_t first = i % panels() * kConvPanel;
    return {(group * columns + first) * rows * taps, group * taps * rows * stride + first,
            std::min(kConvPanel, columns - first)};
  }
};

// Calls body(index in weights, index in dw, width) for each run of columns: 16 rows at a time over
// all taps, so that both sides stay in the first cache.
template <typename Body>
void for_each_run(const GradientLayout& layout, ThreadPool& pool, const Body& body) {
  pool.run([&](int part) {
    const PartRange range = part_range(layout.groups * layout.panels(), part, pool.threads());
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const Panel panel = layout.panel(i);
      for (std::int64_t row = 0; row < layout.rows; row += kConvPanel) {
        const std::int64_t end = std::min(row + kConvPanel, layout.rows);
        for (std::int64_t tap = 0; tap < layout.taps; ++tap) {
          for (std::int64_t r = row; r < end; ++r) {
            body(panel.weights + r * layout.taps + tap,
                 panel.dw + (tap * layout.rows + r) * layout.stride, panel.width);
          }
        }
      }
    }
  });
}

}  // namespace

void unpack_conv_weight_gradient(const ConvShape& s, const float* dw, float* weights,
                                 ThreadPool& pool) {
  const GradientLayout layout(s);
  const std::int64_t step = layout.rows * layout.taps;
  for_each_run(layout, pool, [&](std::int64_t to, std::int64_t from, std::int64_t width) {
    for (std::int64_t c = 0; c < width; ++c) weights[to + c * step] = dw[from + c];
  });
}

void pack_conv_weight_gradient(const ConvShape& s, const float* weights, float* dw,
                               ThreadPool& pool) {
  const GradientLayout layout(s);
  const std::int64_t step = layout.rows * layout.taps;
  const bool padded = layout.stride != layout.columns;
  for_each_run(layout, pool, [&](std::int64_t from, std::int64_t to, std::int64_t width) {
    for (std::int64_t c = 0; c < width; ++c) dw[to + c] = weights[from + c * step];
    if (padded) std::fill(dw + to + width, dw + to + kConvPanel, 0.0f);
  });
}

}  // namespace batchwise::cpu

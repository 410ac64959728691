// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "ops/window.h"

namespace batchwise::reference {

// One spatial axis of a window geometry; a 1-d geometry is given a first axis of one position.
struct WindowAxis {
  std::int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, pad_begin = 0, pad_end = 0;

  // The input position of a tap; outside [0, in) it lies in the padding.
  std::int64_t position(std::int64_t output, std::int64_t tap) const {
    return output * stride - pad_begin + tap * dilation;
  }
  bool contains(std::int64_t position) const { return position >= 0 && position < in; }
  // Taps of a window that lie in the input or its padding.
  std::int64_t padded_taps(std::int64_t output) const {
    std::int64_t count = 0;
    for (std::int64_t t = 0; t < kernel; ++t) count += position(output, t) < in + pad_end ? 1 : 0;
    return count;
  }
};

struct WindowPlane {
  WindowAxis rows, columns;

  explicit WindowPlane(const WindowGeometry& geometry)
      : rows(geometry.axes() == 2 ? axis_of(geometry, 0) : WindowAxis()),
        columns(axis_of(geometry, geometry.axes() - 1)) {}
  std::int64_t in() const { return rows.in * columns.in; }
  std::int64_t out() const { return rows.out * columns.out; }
  std::int64_t taps() const { return rows.kernel * columns.kernel; }

  // Calls f(output position, tap, input position) for each tap within the input, in this order.
  template <typename F>
  void for_each_tap(F&& f) const {
    for (std::int64_t row = 0; row < rows.out; ++row) {
      for (std::int64_t column = 0; column < columns.out; ++column) {
        for_each_tap_of(row, column, f);
      }
    }
  }
  // The same for one window.
  template <typename F>
  void for_each_tap_of(std::int64_t row, std::int64_t column, F&& f) const {
    for (std::int64_t i = 0; i < rows.kernel; ++i) {
      const std::int64_t y = rows.position(row, i);
      if (!rows.contains(y)) continue;
      for (std::int64_t j = 0; j < columns.kernel; ++j) {
        const std::int64_t x = columns.position(column, j);
        if (!columns.contains(x)) continue;
        f(row * columns.out + column, i * columns.kernel + j, y * columns.in + x);
      }
    }
  }

 private:
  static WindowAxis axis_of(const WindowGeometry& geometry, int axis) {
    const auto i = static_cast<std::size_t>(axis);
    return {geometry.in[i],       geometry.out[i],       geometry.kernel[i], geometry.stride[i],
            geometry.dilation[i], geometry.pad_begin[i], geometry.pad_end[i]};
  }
};

}  // namespace batchwise::reference

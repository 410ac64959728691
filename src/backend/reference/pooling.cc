// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/reference/dispatch.h"
#include "backend/reference/families.h"
#include "backend/reference/window_loop.h"

namespace batchwise::reference {
namespace {

// Calls f(row, column, output position) for each window of a plane.
template <typename F>
void for_each_window(const WindowPlane& plane, F&& f) {
  for (std::int64_t row = 0; row < plane.rows.out; ++row) {
    for (std::int64_t column = 0; column < plane.columns.out; ++column) {
      f(row, column, row * plane.columns.out + column);
    }
  }
}

// N x C of input i.
std::int64_t num_planes(const ReferenceCall& call, int i) {
  return call.view.input(i)[0] * call.view.input(i)[1];
}

// The first position of a window's largest value (of its first NaN); -1 where it has none.
template <typename T>
std::int64_t find_largest(const WindowPlane& plane, const T* x, std::int64_t row,
                          std::int64_t column) {
  std::int64_t found = -1;
  plane.for_each_tap_of(row, column, [&](std::int64_t, std::int64_t, std::int64_t i) {
    if (found < 0 || x[i] > x[found] || (std::isnan(x[i]) && !std::isnan(x[found]))) found = i;
  });
  return found;
}

void max_pool(const ReferenceCall& call) {
  const WindowPlane plane(pool_geometry(call.view));
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t p = 0; p < num_planes(call, 0); ++p) {
      const T* x = call.input<T>(0) + p * plane.in();
      T* y = call.output<T>(0) + p * plane.out();
      for_each_window(plane, [&](std::int64_t row, std::int64_t column, std::int64_t o) {
        const std::int64_t largest = find_largest(plane, x, row, column);
        y[o] = largest < 0 ? -std::numeric_limits<T>::infinity() : x[largest];
      });
    }
  });
}

void max_pool_grad(const ReferenceCall& call) {
  const WindowPlane plane(pool_geometry(call.view));
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    std::fill_n(call.output<T>(0), call.view.output(0).elements(), T{0});
    for (std::int64_t p = 0; p < num_planes(call, 0); ++p) {
      const T* dy = call.input<T>(0) + p * plane.out();
      const T* x = call.input<T>(1) + p * plane.in();
      T* dx = call.output<T>(0) + p * plane.in();
      for_each_window(plane, [&](std::int64_t row, std::int64_t column, std::int64_t o) {
        const std::int64_t largest = find_largest(plane, x, row, column);
        if (largest >= 0) dx[largest] += dy[o];
      });
    }
  });
}

// By how many a window's sum is divided.
std::int64_t count_taps(const WindowPlane& plane, std::int64_t row, std::int64_t column,
                        bool with_padding) {
  if (with_padding) return plane.rows.padded_taps(row) * plane.columns.padded_taps(column);
  std::int64_t count = 0;
  plane.for_each_tap_of(row, column, [&](std::int64_t, std::int64_t, std::int64_t) { ++count; });
  return std::max<std::int64_t>(count, 1);
}

void average_pool(const ReferenceCall& call) {
  const WindowPlane plane(pool_geometry(call.view));
  const bool with_padding = call.view.attributes().get_int("count_include_pad", 0) != 0;
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t p = 0; p < num_planes(call, 0); ++p) {
      const T* x = call.input<T>(0) + p * plane.in();
      T* y = call.output<T>(0) + p * plane.out();
      for_each_window(plane, [&](std::int64_t row, std::int64_t column, std::int64_t o) {
        T sum = 0;
        plane.for_each_tap_of(row, column,
                              [&](std::int64_t, std::int64_t, std::int64_t i) { sum += x[i]; });
        y[o] = sum / static_cast<T>(count_taps(plane, row, column, with_padding));
      });
    }
  });
}

void average_pool_grad(const ReferenceCall& call) {
  const WindowPlane plane(pool_geometry(call.view));
  const bool with_padding = call.view.attributes().get_int("count_include_pad", 0) != 0;
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    std::fill_n(call.output<T>(0), call.view.output(0).elements(), T{0});
    for (std::int64_t p = 0; p < num_planes(call, 0); ++p) {
      const T* dy = call.input<T>(0) + p * plane.out();
      T* dx = call.output<T>(0) + p * plane.in();
      for_each_window(plane, [&](std::int64_t row, std::int64_t column, std::int64_t o) {
        const T share = dy[o] / static_cast<T>(count_taps(plane, row, column, with_padding));
        plane.for_each_tap_of(row, column,
                              [&](std::int64_t, std::int64_t, std::int64_t i) { dx[i] += share; });
      });
    }
  });
}

void global_average_pool(const ReferenceCall& call) {
  const Shape& shape = call.view.input(0);
  const std::int64_t positions = shape.elements(2, shape.rank());
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t p = 0; p < num_planes(call, 0); ++p) {
      const T* x = call.input<T>(0) + p * positions;
      T sum = 0;
      for (std::int64_t i = 0; i < positions; ++i) sum += x[i];
      call.output<T>(0)[p] = sum / static_cast<T>(positions);
    }
  });
}

void global_average_pool_grad(const ReferenceCall& call) {
  const Shape& shape = call.view.output(0);
  const std::int64_t positions = shape.elements(2, shape.rank());
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t p = 0; p < num_planes(call, 0); ++p) {
      std::fill_n(call.output<T>(0) + p * positions, positions,
                  call.input<T>(0)[p] / static_cast<T>(positions));
    }
  });
}

constexpr ReferenceRow kRows[] = {
    {"MaxPool", max_pool},
    {"MaxPoolGrad", max_pool_grad},
    {"AveragePool", average_pool},
    {"AveragePoolGrad", average_pool_grad},
    {"GlobalAveragePool", global_average_pool},
    {"GlobalAveragePoolGrad", global_average_pool_grad},
};

}  // namespace

std::span<const ReferenceRow> pooling_kernels() { return kRows; }

}  // namespace batchwise::reference

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "backend/reference/dispatch.h"
#include "backend/reference/families.h"

namespace batchwise::reference {
namespace {

// Lines along the op's axis: element k of a line lies at its first + k * step.
struct Lines {
  std::int64_t outer, length, step;

  explicit Lines(const NodeView& view) {
    const Shape& shape = view.input(0);
    const int axis = view.axis("axis", -1, shape.rank());
    outer = shape.elements(0, axis);
    length = shape[axis];
    step = shape.elements(axis + 1, shape.rank());
  }
  // Calls f with the first element of each line.
  template <typename F>
  void for_each(F&& f) const {
    if (length == 0) return;
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t i = 0; i < step; ++i) f(o * length * step + i);
    }
  }
};

template <typename T>
T largest_of(const T* x, const Lines& lines) {
  T largest = x[0];
  for (std::int64_t k = 1; k < lines.length; ++k) largest = std::max(largest, x[k * lines.step]);
  return largest;
}

template <typename T>
T sum_of_exponentials(const T* x, T largest, const Lines& lines) {
  T sum = 0;
  for (std::int64_t k = 0; k < lines.length; ++k) sum += std::exp(x[k * lines.step] - largest);
  return sum;
}

template <typename F>
void for_each_line(const ReferenceCall& call, F&& f) {
  const Lines lines(call.view);
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    lines.for_each([&](std::int64_t first) { f(zero, lines, first); });
  });
}

void softmax(const ReferenceCall& call) {
  for_each_line(call, [&](auto zero, const Lines& lines, std::int64_t first) {
    using T = decltype(zero);
    const T* x = call.input<T>(0) + first;
    T* y = call.output<T>(0) + first;
    const T largest = largest_of(x, lines);
    const T sum = sum_of_exponentials(x, largest, lines);
    for (std::int64_t k = 0; k < lines.length; ++k) {
      y[k * lines.step] = std::exp(x[k * lines.step] - largest) / sum;
    }
  });
}

void log_softmax(const ReferenceCall& call) {
  for_each_line(call, [&](auto zero, const Lines& lines, std::int64_t first) {
    using T = decltype(zero);
    const T* x = call.input<T>(0) + first;
    T* y = call.output<T>(0) + first;
    const T largest = largest_of(x, lines);
    const T log_sum = std::log(sum_of_exponentials(x, largest, lines));
    for (std::int64_t k = 0; k < lines.length; ++k) {
      y[k * lines.step] = x[k * lines.step] - largest - log_sum;
    }
  });
}

// dx = y (dy - sum of dy y)
void softmax_grad(const ReferenceCall& call) {
  for_each_line(call, [&](auto zero, const Lines& lines, std::int64_t first) {
    using T = decltype(zero);
    const T* dy = call.input<T>(0) + first;
    const T* y = call.input<T>(1) + first;
    T* dx = call.output<T>(0) + first;
    T sum = 0;
    for (std::int64_t k = 0; k < lines.length; ++k) sum += dy[k * lines.step] * y[k * lines.step];
    for (std::int64_t k = 0; k < lines.length; ++k) {
      dx[k * lines.step] = y[k * lines.step] * (dy[k * lines.step] - sum);
    }
  });
}

// dx = dy - exp(y) (sum of dy)
void log_softmax_grad(const ReferenceCall& call) {
  for_each_line(call, [&](auto zero, const Lines& lines, std::int64_t first) {
    using T = decltype(zero);
    const T* dy = call.input<T>(0) + first;
    const T* y = call.input<T>(1) + first;
    T* dx = call.output<T>(0) + first;
    T sum = 0;
    for (std::int64_t k = 0; k < lines.length; ++k) sum += dy[k * lines.step];
    for (std::int64_t k = 0; k < lines.length; ++k) {
      dx[k * lines.step] = dy[k * lines.step] - std::exp(y[k * lines.step]) * sum;
    }
  });
}

constexpr ReferenceRow kRows[] = {{"Softmax", softmax},
                                  {"LogSoftmax", log_softmax},
                                  {"SoftmaxGrad", softmax_grad},
                                  {"LogSoftmaxGrad", log_softmax_grad}};

}  // namespace

std::span<const ReferenceRow> softmax_kernels() { return kRows; }

}  // namespace batchwise::reference

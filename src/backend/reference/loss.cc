// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "backend/reference/dispatch.h"
#include "backend/reference/families.h"

namespace batchwise::reference {
namespace {

// Logits (N, C, d...) and labels (N, d...): class c at position p of sample n lies at
// (n * classes + c) * positions + p.
struct ClassPlan {
  std::int64_t samples, classes, positions;

  ClassPlan(const NodeView& view, int logits) {
    const Shape& shape = view.input(logits);
    samples = shape[0];
    classes = shape[1];
    positions = shape.elements(2, shape.rank());
  }
};

template <typename Label>
std::int64_t checked_label(const ReferenceCall& call, const ClassPlan& plan, int labels,
                           std::int64_t sample, std::int64_t position) {
  const auto label =
      static_cast<std::int64_t>(call.input<Label>(labels)[sample * plan.positions + position]);
  if (label < 0 || label >= plan.classes) {
    fail_input(call.view.where(), "label {} of sample {} is outside 0 to {}", label,
               call.state.first_sample + sample, plan.classes - 1);
  }
  return label;
}

// The logarithm of the sum of exp(x) over classes, less the largest x, and that.
template <typename T>
struct LogSum {
  T largest, log_sum;

  LogSum(const T* x, const ClassPlan& plan) : largest(x[0]) {
    for (std::int64_t c = 1; c < plan.classes; ++c) {
      largest = std::max(largest, x[c * plan.positions]);
    }
    T sum = 0;
    for (std::int64_t c = 0; c < plan.classes; ++c)
      sum += std::exp(x[c * plan.positions] - largest);
    log_sum = std::log(sum);
  }
};

// Calls f(element, label) with values of the types of logits and labels.
template <typename F>
void dispatch_loss(const ReferenceCall& call, int logits, F&& f) {
  dispatch_float(call.view, call.view.input_dtype(logits), [&](auto element) {
    dispatch_index(call.view, call.view.input_dtype(logits + 1),
                   [&](auto label) { f(element, label); });
  });
}

void cross_entropy(const ReferenceCall& call) {
  const ClassPlan plan(call.view, 0);
  dispatch_loss(call, 0, [&](auto element, auto label_zero) {
    using T = decltype(element);
    for (std::int64_t n = 0; n < plan.samples; ++n) {
      T sum = 0;
      for (std::int64_t p = 0; p < plan.positions; ++p) {
        const T* x = call.input<T>(0) + n * plan.classes * plan.positions + p;
        const std::int64_t label = checked_label<decltype(label_zero)>(call, plan, 1, n, p);
        const LogSum<T> log_sum(x, plan);
        sum += log_sum.log_sum - (x[label * plan.positions] - log_sum.largest);
      }
      call.output<T>(0)[n] = sum / static_cast<T>(plan.positions);
    }
  });
}

void cross_entropy_grad(const ReferenceCall& call) {
  const ClassPlan plan(call.view, 1);
  dispatch_loss(call, 1, [&](auto element, auto label_zero) {
    using T = decltype(element);
    for (std::int64_t n = 0; n < plan.samples; ++n) {
      const T factor = call.input<T>(0)[n] / static_cast<T>(plan.positions);
      for (std::int64_t p = 0; p < plan.positions; ++p) {
        const std::int64_t first = n * plan.classes * plan.positions + p;
        const T* x = call.input<T>(1) + first;
        T* dx = call.output<T>(0) + first;
        const std::int64_t label = checked_label<decltype(label_zero)>(call, plan, 2, n, p);
        const LogSum<T> log_sum(x, plan);
        for (std::int64_t c = 0; c < plan.classes; ++c) {
          const T share = std::exp(x[c * plan.positions] - log_sum.largest - log_sum.log_sum);
          dx[c * plan.positions] = factor * (share - (c == label ? T{1} : T{0}));
        }
      }
    }
  });
}

void mean_squared_error(const ReferenceCall& call) {
  const Shape& shape = call.view.input(0);
  const std::int64_t elements = shape.elements(1, shape.rank());
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t n = 0; n < shape[0]; ++n) {
      const T* prediction = call.input<T>(0) + n * elements;
      const T* target = call.input<T>(1) + n * elements;
      T sum = 0;
      for (std::int64_t i = 0; i < elements; ++i) {
        const T difference = prediction[i] - target[i];
        sum += difference * difference;
      }
      call.output<T>(0)[n] = sum / static_cast<T>(elements);
    }
  });
}

void mean_squared_error_grad(const ReferenceCall& call) {
  const Shape& shape = call.view.input(1);
  const std::int64_t elements = shape.elements(1, shape.rank());
  dispatch_float(call.view, call.view.input_dtype(1), [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t n = 0; n < shape[0]; ++n) {
      const T factor = T{2} * call.input<T>(0)[n] / static_cast<T>(elements);
      const T* prediction = call.input<T>(1) + n * elements;
      const T* target = call.input<T>(2) + n * elements;
      T* gradient = call.output<T>(0) + n * elements;
      for (std::int64_t i = 0; i < elements; ++i) {
        gradient[i] = factor * (prediction[i] - target[i]);
      }
    }
  });
}

constexpr ReferenceRow kRows[] = {{"CrossEntropy", cross_entropy},
                                  {"CrossEntropyGrad", cross_entropy_grad},
                                  {"MeanSquaredError", mean_squared_error},
                                  {"MeanSquaredErrorGrad", mean_squared_error_grad}};

}  // namespace

std::span<const ReferenceRow> loss_kernels() { return kRows; }

}  // namespace batchwise::reference

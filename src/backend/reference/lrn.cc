// SPDX-License-Identifier: Apache-2.0
#include "backend/reference/lrn.h"

#include <algorithm>
#include <cmath>

#include "backend/reference/dispatch.h"

namespace batchwise::reference {
namespace {

// y = x / s^beta, with s = bias + alpha / size * (sum of squares over neighbouring channels).
template <typename T>
struct LrnPlan {
  std::int64_t samples, channels, positions;
  std::int64_t before, after;  // neighbours of a channel
  T factor, beta, bias;

  LrnPlan(const NodeView& view, int x) {
    const Shape& shape = view.input(x);
    samples = shape[0];
    channels = shape[1];
    positions = shape.elements(2, shape.rank());
    const Attributes& attributes = view.attributes();
    const std::int64_t size = attributes.get_int("size");
    before = (size - 1) / 2;
    after = size - 1 - before;
    factor = static_cast<T>(attributes.get_float("alpha", 1e-4) / static_cast<double>(size));
    beta = static_cast<T>(attributes.get_float("beta", 0.75));
    bias = static_cast<T>(attributes.get_float("bias", 1.0));
  }
  // Sums f(c) over channels from `first` to `last`, as far as they exist.
  template <typename F>
  T sum(std::int64_t first, std::int64_t last, F&& f) const {
    T total = 0;
    for (std::int64_t c = std::max<std::int64_t>(first, 0); c <= std::min(last, channels - 1);
         ++c) {
      total += f(c);
    }
    return total;
  }
  // s at channel c; x points at channel 0 of the same sample and position.
  T base(const T* x, std::int64_t c) const {
    const auto square = [&](std::int64_t j) { return x[j * positions] * x[j * positions]; };
    return bias + factor * sum(c - before, c + after, square);
  }
  // Calls f(offset of channel 0) for each sample and position.
  template <typename F>
  void for_each_column(F&& f) const {
    for (std::int64_t n = 0; n < samples; ++n) {
      for (std::int64_t p = 0; p < positions; ++p) f(n * channels * positions + p);
    }
  }
};

}  // namespace

void lrn(const ReferenceCall& call) {
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const LrnPlan<T> plan(call.view, 0);
    plan.for_each_column([&](std::int64_t first) {
      const T* x = call.input<T>(0) + first;
      T* y = call.output<T>(0) + first;
      for (std::int64_t c = 0; c < plan.channels; ++c) {
        y[c * plan.positions] = x[c * plan.positions] / std::pow(plan.base(x, c), plan.beta);
      }
    });
  });
}

// dx_c = dy_c / s_c^beta - 2 beta alpha / size * x_c * (sum of dy_j y_j / s_j over the channels j
// that have c as a neighbour).
void lrn_grad(const ReferenceCall& call) {
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const LrnPlan<T> plan(call.view, 1);
    plan.for_each_column([&](std::int64_t first) {
      const T* dy = call.input<T>(0) + first;
      const T* x = call.input<T>(1) + first;
      const T* y = call.input<T>(2) + first;
      T* dx = call.output<T>(0) + first;
      const auto term = [&](std::int64_t j) {
        return dy[j * plan.positions] * y[j * plan.positions] / plan.base(x, j);
      };
      for (std::int64_t c = 0; c < plan.channels; ++c) {
        const T sum = plan.sum(c - plan.after, c + plan.before, term);
        dx[c * plan.positions] = dy[c * plan.positions] / std::pow(plan.base(x, c), plan.beta) -
                                 T{2} * plan.beta * plan.factor * x[c * plan.positions] * sum;
      }
    });
  });
}

}  // namespace batchwise::reference

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "backend/reference/dispatch.h"
#include "backend/reference/families.h"
#include "backend/reference/walk.h"
#include "ops/axes.h"

namespace batchwise::reference {
namespace {

// Sums of floats are taken in double.
template <typename T>
using SumType = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;

// The shape of input 0 with reduced axes of size 1: the strides of the result in it are those that
// broadcast_strides() gives.
Shape kept_shape(const NodeView& view) {
  return reduced_shape(view.input(0), reduced_axes(view), true);
}

template <typename T>
std::vector<SumType<T>> sums_along(const ReferenceCall& call, const Shape& kept) {
  std::vector<SumType<T>> sums(static_cast<std::size_t>(kept.elements()));
  const T* x = call.input<T>(0);
  walk<1>(call.view.input(0), {broadcast_strides(kept, call.view.input(0))},
          [&](std::int64_t i, const auto& at) {
            sums[static_cast<std::size_t>(at[0])] += static_cast<SumType<T>>(x[i]);
          });
  return sums;
}

void reduce_sum(const ReferenceCall& call) {
  dispatch_number(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const auto sums = sums_along<T>(call, kept_shape(call.view));
    T* y = call.output<T>(0);
    for (std::size_t i = 0; i < sums.size(); ++i) y[i] = static_cast<T>(sums[i]);
  });
}

void reduce_mean(const ReferenceCall& call) {
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const auto sums = sums_along<T>(call, kept_shape(call.view));
    const auto count = static_cast<double>(call.view.input(0).elements()) /
                       static_cast<double>(std::max<std::size_t>(sums.size(), 1));
    T* y = call.output<T>(0);
    for (std::size_t i = 0; i < sums.size(); ++i) y[i] = static_cast<T>(sums[i] / count);
  });
}

// A NaN anywhere gives NaN.
void reduce_max(const ReferenceCall& call) {
  const Shape kept = kept_shape(call.view);
  const Shape& shape = call.view.input(0);
  dispatch_number(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const T* x = call.input<T>(0);
    T* y = call.output<T>(0);
    T least = std::numeric_limits<T>::lowest();
    if constexpr (std::is_floating_point_v<T>) least = -std::numeric_limits<T>::infinity();
    std::fill(y, y + kept.elements(), least);
    walk<1>(shape, {broadcast_strides(kept, shape)}, [&](std::int64_t i, const auto& at) {
      T& best = y[at[0]];
      if (x[i] > best || std::isnan(x[i])) best = x[i];
    });
  });
}

void reduce_max_grad(const ReferenceCall& call) {
  const Shape& shape = call.view.input(1);
  const Shape& kept = call.view.input(2);
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const T* dy = call.input<T>(0);
    const T* x = call.input<T>(1);
    const T* y = call.input<T>(2);
    T* dx = call.output<T>(0);
    std::vector<bool> given(static_cast<std::size_t>(kept.elements()), false);
    walk<1>(shape, {broadcast_strides(kept, shape)}, [&](std::int64_t i, const auto& at) {
      const bool is_first = !given[static_cast<std::size_t>(at[0])] && x[i] == y[at[0]];
      if (is_first) given[static_cast<std::size_t>(at[0])] = true;
      dx[i] = is_first ? dy[at[0]] : T{0};
    });
  });
}

// Positions of the leading axis one after the other, each summed from zero and then added: the
// order in which samples come is the order of the sum, wherever the batch is cut.
void sum_to(const ReferenceCall& call) {
  const Shape& from = call.view.input(0);
  const Shape& to = call.view.output(0);
  const bool chains = from.rank() > 0 && (to.rank() < from.rank() || to[0] == 1);
  const std::int64_t links = chains ? from[0] : 1;
  Shape link = from;
  if (chains) link[0] = 1;
  const std::array<Strides, 1> strides{broadcast_strides(to, link)};
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    T* y = call.output<T>(0);
    const bool continues = call.state.accumulate && call.has_input(1);
    for (std::int64_t i = 0; i < to.elements(); ++i) {
      y[i] = continues ? call.input<T>(1)[i] : T{0};
    }
    std::vector<double> sums(static_cast<std::size_t>(to.elements()));
    for (std::int64_t k = 0; k < links; ++k) {
      const T* x = call.input<T>(0) + k * link.elements();
      std::fill(sums.begin(), sums.end(), 0.0);
      walk<1>(link, strides, [&](std::int64_t i, const auto& at) {
        sums[static_cast<std::size_t>(at[0])] += static_cast<double>(x[i]);
      });
      for (std::size_t i = 0; i < sums.size(); ++i) y[i] += static_cast<T>(sums[i]);
    }
  });
}

constexpr ReferenceRow kRows[] = {
    {"ReduceSum", reduce_sum},          {"ReduceMean", reduce_mean}, {"ReduceMax", reduce_max},
    {"ReduceMaxGrad", reduce_max_grad}, {"SumTo", sum_to},
};

}  // namespace

std::span<const ReferenceRow> reduction_kernels() { return kRows; }

}  // namespace batchwise::reference

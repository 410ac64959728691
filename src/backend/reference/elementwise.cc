// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "backend/reference/copy.h"
#include "backend/reference/dispatch.h"
#include "backend/reference/families.h"
#include "backend/reference/walk.h"

namespace batchwise::reference {
namespace {

// Integers wrap around; floats are computed as they are.
template <typename T, typename F>
T arithmetic(T a, T b, F f) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(f(static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b)));
  } else {
    return f(a, b);
  }
}

template <typename T, typename F>
void run_unary(const ReferenceCall& call, F f) {
  const T* x = call.input<T>(0);
  T* y = call.output<T>(0);
  const std::int64_t count = call.view.output(0).elements();
  for (std::int64_t i = 0; i < count; ++i) y[i] = f(x[i]);
}

template <typename T, typename R, typename F>
void run_binary(const ReferenceCall& call, F f) {
  const T* a = call.input<T>(0);
  const T* b = call.input<T>(1);
  R* y = call.output<R>(0);
  const Shape& shape = call.view.output(0);
  walk<2>(
      shape,
      {broadcast_strides(call.view.input(0), shape), broadcast_strides(call.view.input(1), shape)},
      [&](std::int64_t i, const auto& at) { y[i] = static_cast<R>(f(a[at[0]], b[at[1]])); });
}

template <typename F>
void arithmetic_binary(const ReferenceCall& call, F f) {
  dispatch_number(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    run_binary<T, T>(call, [&](T a, T b) { return arithmetic(a, b, f); });
  });
}

void add(const ReferenceCall& call) {
  arithmetic_binary(call, [](auto a, auto b) { return a + b; });
}
void sub(const ReferenceCall& call) {
  arithmetic_binary(call, [](auto a, auto b) { return a - b; });
}
void mul(const ReferenceCall& call) {
  arithmetic_binary(call, [](auto a, auto b) { return a * b; });
}

template <typename T>
T divide(const NodeView& view, T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) fail_input(view.where(), "divides {} by zero", a);
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return static_cast<T>(std::uint64_t{0} - static_cast<std::uint64_t>(a));
    }
  }
  return static_cast<T>(a / b);
}

void div(const ReferenceCall& call) {
  dispatch_number(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    run_binary<T, T>(call, [&](T a, T b) { return divide(call.view, a, b); });
  });
}

void pow(const ReferenceCall& call) {
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    run_binary<T, T>(call, [](T a, T b) { return std::pow(a, b); });
  });
}

template <typename F>
void compare(const ReferenceCall& call, F f) {
  dispatch_any(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    run_binary<T, bool>(call, f);
  });
}

void greater(const ReferenceCall& call) {
  compare(call, [](auto a, auto b) { return a > b; });
}
void less(const ReferenceCall& call) {
  compare(call, [](auto a, auto b) { return a < b; });
}
void equal(const ReferenceCall& call) {
  compare(call, [](auto a, auto b) { return a == b; });
}

template <typename F>
void float_unary(const ReferenceCall& call, F f) {
  dispatch_float(call.view, call.view.input_dtype(0),
                 [&](auto zero) { run_unary<decltype(zero)>(call, f); });
}

void sqrt(const ReferenceCall& call) {
  float_unary(call, [](auto x) { return std::sqrt(x); });
}
void exp(const ReferenceCall& call) {
  float_unary(call, [](auto x) { return std::exp(x); });
}
void log(const ReferenceCall& call) {
  float_unary(call, [](auto x) { return std::log(x); });
}
void reciprocal(const ReferenceCall& call) {
  float_unary(call, [](auto x) { return 1 / x; });
}

void neg(const ReferenceCall& call) {
  dispatch_number(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    run_unary<T>(call, [](T x) {
      if constexpr (std::is_floating_point_v<T>) return -x;
      return arithmetic(T{0}, x, [](auto a, auto b) { return a - b; });
    });
  });
}

void abs(const ReferenceCall& call) {
  dispatch_number(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    run_unary<T>(call, [](T x) {
      if constexpr (std::is_floating_point_v<T>) return std::abs(x);
      return x < 0 ? arithmetic(T{0}, x, [](auto a, auto b) { return a - b; }) : x;
    });
  });
}

// y = x0, then y = f(y, xi) for each further input.
template <typename F>
void variadic(const ReferenceCall& call, F f) {
  const Shape& shape = call.view.output(0);
  dispatch_number(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    T* y = call.output<T>(0);
    for (int k = 0; k < call.view.num_inputs(); ++k) {
      const T* x = call.input<T>(k);
      walk<1>(
          shape, {broadcast_strides(call.view.input(k), shape)},
          [&](std::int64_t i, const auto& at) { y[i] = k == 0 ? x[at[0]] : f(y[i], x[at[0]]); });
    }
  });
}

void sum(const ReferenceCall& call) {
  variadic(call,
           [](auto a, auto b) { return arithmetic(a, b, [](auto s, auto t) { return s + t; }); });
}
// A NaN anywhere gives NaN.
void max(const ReferenceCall& call) {
  variadic(call, [](auto a, auto b) { return a > b || std::isnan(a) ? a : b; });
}
void min(const ReferenceCall& call) {
  variadic(call, [](auto a, auto b) { return a < b || std::isnan(a) ? a : b; });
}

void where(const ReferenceCall& call) {
  const Shape& shape = call.view.output(0);
  const bool* condition = call.input<bool>(0);
  dispatch_bytes(call.view, call.view.output_value(0).type.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* a = call.input<T>(1);
    const T* b = call.input<T>(2);
    T* y = call.output<T>(0);
    walk<3>(
        shape,
        {broadcast_strides(call.view.input(0), shape), broadcast_strides(call.view.input(1), shape),
         broadcast_strides(call.view.input(2), shape)},
        [&](std::int64_t i, const auto& at) { y[i] = condition[at[0]] ? a[at[1]] : b[at[2]]; });
  });
}

// Out of range: the nearest number of the type; NaN gives 0.
template <typename To, typename From>
To cast_element(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From{0};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if (std::isnan(x)) return 0;
    if (x <= static_cast<From>(std::numeric_limits<To>::min())) {
      return std::numeric_limits<To>::min();
    }
    if (x >= static_cast<From>(std::numeric_limits<To>::max())) {
      return std::numeric_limits<To>::max();
    }
    return static_cast<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

void cast(const ReferenceCall& call) {
  const std::int64_t count = call.view.output(0).elements();
  dispatch_any(call.view, call.view.input_dtype(0), [&](auto from) {
    using From = decltype(from);
    dispatch_any(call.view, call.view.output_value(0).type.dtype, [&](auto to) {
      using To = decltype(to);
      const From* x = call.input<From>(0);
      To* y = call.output<To>(0);
      for (std::int64_t i = 0; i < count; ++i) y[i] = cast_element<To>(x[i]);
    });
  });
}

constexpr ReferenceRow kRows[] = {
    {"Add", add},     {"Sub", sub},     {"Mul", mul},         {"Div", div},
    {"Pow", pow},     {"Sqrt", sqrt},   {"Exp", exp},         {"Log", log},
    {"Neg", neg},     {"Abs", abs},     {"Sum", sum},         {"Reciprocal", reciprocal},
    {"Max", max},     {"Min", min},     {"Greater", greater}, {"Less", less},
    {"Equal", equal}, {"Where", where}, {"Cast", cast},       {"Identity", copy_through},
};

}  // namespace

std::span<const ReferenceRow> elementwise_kernels() { return kRows; }

}  // namespace batchwise::reference

// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "backend/reference/dispatch.h"
#include "backend/reference/families.h"

namespace batchwise::reference {
namespace {

constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kTwoOverSqrtPi = 1.12837916709551257390;
constexpr double kSqrtTwoOverPi = 0.79788456080286535588;
constexpr double kGeluCubic = 0.044715;

// y = f(x), computed in double whatever the type.
template <typename F>
void forward(const ReferenceCall& call, F f) {
  const std::int64_t count = call.view.output(0).elements();
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const T* x = call.input<T>(0);
    T* y = call.output<T>(0);
    for (std::int64_t i = 0; i < count; ++i) y[i] = static_cast<T>(f(static_cast<double>(x[i])));
  });
}

// dx = dy f(v), where v is input 1: x or y of the forward op.
template <typename F>
void backward(const ReferenceCall& call, F f) {
  const std::int64_t count = call.view.output(0).elements();
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const T* dy = call.input<T>(0);
    const T* v = call.input<T>(1);
    T* dx = call.output<T>(0);
    for (std::int64_t i = 0; i < count; ++i) {
      dx[i] = static_cast<T>(static_cast<double>(dy[i]) * f(static_cast<double>(v[i])));
    }
  });
}

// Attributes are doubles; the op's are float32, which float64 models see widened.
double alpha_of(const ReferenceCall& call) {
  return static_cast<float>(call.view.attributes().get_float("alpha", 0.01));
}

bool is_tanh_gelu(const ReferenceCall& call) {
  return call.view.attributes().get_string("approximate", "none") == "tanh";
}

// NaN goes through.
void relu(const ReferenceCall& call) {
  forward(call, [](double x) { return x < 0 ? 0 : x; });
}
void relu_grad(const ReferenceCall& call) {
  backward(call, [](double y) { return y > 0 ? 1.0 : 0.0; });
}

void leaky_relu(const ReferenceCall& call) {
  const double alpha = alpha_of(call);
  forward(call, [alpha](double x) { return x < 0 ? alpha * x : x; });
}
void leaky_relu_grad(const ReferenceCall& call) {
  const double alpha = alpha_of(call);
  backward(call, [alpha](double x) { return x < 0 ? alpha : 1.0; });
}

void sigmoid(const ReferenceCall& call) {
  forward(call, [](double x) { return 1 / (1 + std::exp(-x)); });
}
void sigmoid_grad(const ReferenceCall& call) {
  backward(call, [](double y) { return y * (1 - y); });
}

void tanh(const ReferenceCall& call) {
  forward(call, [](double x) { return std::tanh(x); });
}
void tanh_grad(const ReferenceCall& call) {
  backward(call, [](double y) { return 1 - y * y; });
}

void erf(const ReferenceCall& call) {
  forward(call, [](double x) { return std::erf(x); });
}
void erf_grad(const ReferenceCall& call) {
  backward(call, [](double x) { return kTwoOverSqrtPi * std::exp(-x * x); });
}

void gelu(const ReferenceCall& call) {
  if (is_tanh_gelu(call)) {
    forward(call, [](double x) {
      return 0.5 * x * (1 + std::tanh(kSqrtTwoOverPi * (x + kGeluCubic * x * x * x)));
    });
  } else {
    forward(call, [](double x) { return 0.5 * x * (1 + std::erf(x * kSqrtHalf)); });
  }
}

void gelu_grad(const ReferenceCall& call) {
  if (is_tanh_gelu(call)) {
    backward(call, [](double x) {
      const double t = std::tanh(kSqrtTwoOverPi * (x + kGeluCubic * x * x * x));
      const double slope = kSqrtTwoOverPi * (1 + 3 * kGeluCubic * x * x);
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope;
    });
  } else {
    backward(call, [](double x) {
      const double density = 0.5 * kTwoOverSqrtPi * kSqrtHalf * std::exp(-0.5 * x * x);
      return 0.5 * (1 + std::erf(x * kSqrtHalf)) + x * density;
    });
  }
}

template <typename T>
struct Bounds {
  T low, high;
};

template <typename T>
Bounds<T> bounds_of(const ReferenceCall& call, int first) {
  Bounds<T> bounds{std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max()};
  if constexpr (std::numeric_limits<T>::has_infinity) {
    bounds = {-std::numeric_limits<T>::infinity(), std::numeric_limits<T>::infinity()};
  }
  if (call.has_input(first)) bounds.low = *call.input<T>(first);
  if (call.has_input(first + 1)) bounds.high = *call.input<T>(first + 1);
  return bounds;
}

// Where min exceeds max, the result is max, as NumPy has it.
void clip(const ReferenceCall& call) {
  const std::int64_t count = call.view.output(0).elements();
  dispatch_number(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const Bounds<T> bounds = bounds_of<T>(call, 1);
    const T* x = call.input<T>(0);
    T* y = call.output<T>(0);
    for (std::int64_t i = 0; i < count; ++i) {
      const T raised = x[i] < bounds.low ? bounds.low : x[i];
      y[i] = raised > bounds.high ? bounds.high : raised;
    }
  });
}

void clip_grad(const ReferenceCall& call) {
  const std::int64_t count = call.view.output(0).elements();
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const Bounds<T> bounds = bounds_of<T>(call, 2);
    const T* dy = call.input<T>(0);
    const T* x = call.input<T>(1);
    T* dx = call.output<T>(0);
    for (std::int64_t i = 0; i < count; ++i) {
      dx[i] = x[i] < bounds.low || x[i] > bounds.high ? T{0} : dy[i];
    }
  });
}

constexpr ReferenceRow kRows[] = {
    {"Relu", relu},
    {"ReluGrad", relu_grad},
    {"LeakyRelu", leaky_relu},
    {"LeakyReluGrad", leaky_relu_grad},
    {"Clip", clip},
    {"ClipGrad", clip_grad},
    {"Sigmoid", sigmoid},
    {"SigmoidGrad", sigmoid_grad},
    {"Tanh", tanh},
    {"TanhGrad", tanh_grad},
    {"Gelu", gelu},
    {"GeluGrad", gelu_grad},
    {"Erf", erf},
    {"ErfGrad", erf_grad},
};

}  // namespace

std::span<const ReferenceRow> activation_kernels() { return kRows; }

}  // namespace batchwise::reference

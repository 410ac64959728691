// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "backend/reference/dispatch.h"
#include "backend/reference/families.h"
#include "backend/reference/window_loop.h"

namespace batchwise::reference {
namespace {

// What the three convolution loops share: which planes of x, w and y meet.
struct ConvLoop {
  explicit ConvLoop(const NodeView& view) : conv(conv_geometry(view)), plane(conv) {}

  // Calls f(x plane, w plane, y plane) for each output channel of a sample and each input channel
  // of its group; the numbers count planes from the beginning of each value.
  template <typename F>
  void for_each_pair(std::int64_t sample, F&& f) const {
    for (std::int64_t o = 0; o < conv.out_channels; ++o) {
      const std::int64_t first = o / conv.group_out() * conv.group_in();
      for (std::int64_t i = 0; i < conv.group_in(); ++i) {
        f(sample * conv.in_channels + first + i, o * conv.group_in() + i,
          sample * conv.out_channels + o);
      }
    }
  }

  ConvGeometry conv;
  WindowPlane plane;
};

template <typename T>
void fill_bias(const ReferenceCall& call, const ConvLoop& loop) {
  T* y = call.output<T>(0);
  for (std::int64_t n = 0; n < loop.conv.batch; ++n) {
    for (std::int64_t o = 0; o < loop.conv.out_channels; ++o) {
      const T start = call.has_input(2) ? call.input<T>(2)[o] : T{0};
      y = std::fill_n(y, loop.plane.out(), start);
    }
  }
}

void conv(const ReferenceCall& call) {
  const ConvLoop loop(call.view);
  const WindowPlane& plane = loop.plane;
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    fill_bias<T>(call, loop);
    for (std::int64_t n = 0; n < loop.conv.batch; ++n) {
      loop.for_each_pair(n, [&](std::int64_t in, std::int64_t weights, std::int64_t out) {
        const T* x = call.input<T>(0) + in * plane.in();
        const T* w = call.input<T>(1) + weights * plane.taps();
        T* y = call.output<T>(0) + out * plane.out();
        plane.for_each_tap(
            [&](std::int64_t o, std::int64_t t, std::int64_t i) { y[o] += w[t] * x[i]; });
      });
    }
  });
}

void conv_grad_input(const ReferenceCall& call) {
  const ConvLoop loop(call.view);
  const WindowPlane& plane = loop.plane;
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    std::fill_n(call.output<T>(0), call.view.output(0).elements(), T{0});
    for (std::int64_t n = 0; n < loop.conv.batch; ++n) {
      loop.for_each_pair(n, [&](std::int64_t in, std::int64_t weights, std::int64_t out) {
        const T* dy = call.input<T>(0) + out * plane.out();
        const T* w = call.input<T>(1) + weights * plane.taps();
        T* dx = call.output<T>(0) + in * plane.in();
        plane.for_each_tap(
            [&](std::int64_t o, std::int64_t t, std::int64_t i) { dx[i] += w[t] * dy[o]; });
      });
    }
  });
}

// Each sample's gradient is summed from zero and then added to the sum of the samples before.
void conv_grad_weight(const ReferenceCall& call) {
  const ConvLoop loop(call.view);
  const WindowPlane& plane = loop.plane;
  const std::int64_t count = call.view.output(0).elements();
  const bool continues = call.state.accumulate && call.has_input(2);
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    T* sum = call.output<T>(0);
    if (!continues) {
      std::fill_n(sum, count, T{0});
    } else if (sum != call.input<T>(2)) {
      std::copy_n(call.input<T>(2), count, sum);
    }
    std::vector<T> of_sample(static_cast<std::size_t>(count));
    for (std::int64_t n = 0; n < loop.conv.batch; ++n) {
      std::fill(of_sample.begin(), of_sample.end(), T{0});
      loop.for_each_pair(n, [&](std::int64_t in, std::int64_t weights, std::int64_t out) {
        const T* x = call.input<T>(0) + in * plane.in();
        const T* dy = call.input<T>(1) + out * plane.out();
        T* dw = of_sample.data() + weights * plane.taps();
        plane.for_each_tap(
            [&](std::int64_t o, std::int64_t t, std::int64_t i) { dw[t] += x[i] * dy[o]; });
      });
      for (std::int64_t i = 0; i < count; ++i) sum[i] += of_sample[static_cast<std::size_t>(i)];
    }
  });
}

constexpr ReferenceRow kRows[] = {
    {"Conv", conv}, {"ConvGradInput", conv_grad_input}, {"ConvGradWeight", conv_grad_weight}};

}  // namespace

std::span<const ReferenceRow> convolution_kernels() { return kRows; }

}  // namespace batchwise::reference

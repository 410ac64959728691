// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "backend/reference/dispatch.h"
#include "backend/reference/families.h"
#include "backend/reference/lrn.h"
#include "backend/reference/walk.h"

namespace batchwise::reference {
namespace {

// Values (N, C, ...), taken as samples x channels x positions.
struct ChannelPlan {
  std::int64_t samples, channels, positions;

  explicit ChannelPlan(const Shape& shape)
      : samples(shape[0]), channels(shape[1]), positions(shape.elements(2, shape.rank())) {}

  // Calls f(first element, channel) for each row of positions of samples [begin, end).
  template <typename F>
  void for_each_row(std::int64_t begin, std::int64_t end, F&& f) const {
    for (std::int64_t n = begin; n < end; ++n) {
      for (std::int64_t c = 0; c < channels; ++c) f((n * channels + c) * positions, c);
    }
  }
};

double epsilon_of(const NodeView& view) { return view.attributes().get_float("epsilon", 1e-5); }

void batch_norm(const ReferenceCall& call) {
  const ChannelPlan plan(call.view.input(0));
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const T epsilon = static_cast<T>(epsilon_of(call.view));
    plan.for_each_row(0, plan.samples, [&](std::int64_t first, std::int64_t c) {
      const T scale = call.input<T>(1)[c] / std::sqrt(call.input<T>(4)[c] + epsilon);
      const T bias = call.input<T>(2)[c], mean = call.input<T>(3)[c];
      const T* x = call.input<T>(0) + first;
      T* y = call.output<T>(0) + first;
      for (std::int64_t i = 0; i < plan.positions; ++i) y[i] = (x[i] - mean) * scale + bias;
    });
  });
}

// Calls f(number, first sample, end) for each group of `group` samples (0: all in one); the last
// takes the remainder.
template <typename F>
void for_each_group(std::int64_t samples, std::int64_t group, F&& f) {
  const std::int64_t groups = group == 0 ? 1 : std::max<std::int64_t>(1, samples / group);
  const std::int64_t size = group == 0 ? samples : group;
  for (std::int64_t g = 0; g < groups; ++g) {
    f(g, g * size, g + 1 == groups ? samples : (g + 1) * size);
  }
}

template <typename T>
struct GroupMoments {
  std::vector<T> mean, variance;
};

// Mean and (biased) variance of each channel over samples [begin, end).
template <typename T>
GroupMoments<T> take_moments(const T* x, const ChannelPlan& plan, std::int64_t begin,
                             std::int64_t end) {
  const auto channels = static_cast<std::size_t>(plan.channels);
  const T count = static_cast<T>((end - begin) * plan.positions);
  GroupMoments<T> moments{std::vector<T>(channels, T{0}), std::vector<T>(channels, T{0})};
  plan.for_each_row(begin, end, [&](std::int64_t first, std::int64_t channel) {
    T& mean = moments.mean[static_cast<std::size_t>(channel)];
    for (std::int64_t i = 0; i < plan.positions; ++i) mean += x[first + i];
  });
  for (T& mean : moments.mean) mean /= count;
  plan.for_each_row(begin, end, [&](std::int64_t first, std::int64_t channel) {
    const auto c = static_cast<std::size_t>(channel);
    for (std::int64_t i = 0; i < plan.positions; ++i) {
      const T difference = x[first + i] - moments.mean[c];
      moments.variance[c] += difference * difference;
    }
  });
  for (T& variance : moments.variance) variance /= count;
  return moments;
}

bool wants_output(const ReferenceCall& call, int o) {
  return o < call.view.num_outputs() && call.has_output(o);
}

// running = momentum * running + (1 - momentum) * moment, continuing in `running`.
template <typename T>
void update_running(const ReferenceCall& call, std::vector<T>& running,
                    const std::vector<T>& moment) {
  const double momentum = call.view.attributes().get_float("momentum", 0.9);
  const T keep = static_cast<T>(momentum), take = static_cast<T>(1.0 - momentum);
  for (std::size_t c = 0; c < running.size(); ++c) {
    running[c] = keep * running[c] + take * moment[c];
  }
}

template <typename T>
void normalize_group(const ReferenceCall& call, const ChannelPlan& plan, const T* mean,
                     const T* inv_std, std::int64_t begin, std::int64_t end) {
  plan.for_each_row(begin, end, [&](std::int64_t first, std::int64_t c) {
    const T scale = call.input<T>(1)[c], bias = call.input<T>(2)[c];
    const T* x = call.input<T>(0) + first;
    T* y = call.output<T>(0) + first;
    for (std::int64_t i = 0; i < plan.positions; ++i) {
      y[i] = (x[i] - mean[c]) * inv_std[c] * scale + bias;
    }
  });
}

template <typename T>
void batch_norm_training_of(const ReferenceCall& call) {
  const ChannelPlan plan(call.view.input(0));
  const auto channels = static_cast<std::size_t>(plan.channels);
  const T epsilon = static_cast<T>(epsilon_of(call.view));
  std::vector<T> running_mean(call.input<T>(3), call.input<T>(3) + channels);
  std::vector<T> running_variance(call.input<T>(4), call.input<T>(4) + channels);
  const std::int64_t group = call.view.attributes().get_int("group", 0);
  for_each_group(plan.samples, group, [&](std::int64_t g, std::int64_t begin, std::int64_t end) {
    const GroupMoments<T> moments = take_moments(call.input<T>(0), plan, begin, end);
    std::vector<T> inv_std(channels);
    for (std::size_t c = 0; c < channels; ++c) {
      inv_std[c] = T{1} / std::sqrt(moments.variance[c] + epsilon);
    }
    normalize_group(call, plan, moments.mean.data(), inv_std.data(), begin, end);
    const std::int64_t row = g * plan.channels;
    if (wants_output(call, 1)) std::copy_n(moments.mean.data(), channels, call.output<T>(1) + row);
    if (wants_output(call, 2)) std::copy_n(inv_std.data(), channels, call.output<T>(2) + row);
    update_running(call, running_mean, moments.mean);
    update_running(call, running_variance, moments.variance);
  });
  if (wants_output(call, 3)) std::copy_n(running_mean.data(), channels, call.output<T>(3));
  if (wants_output(call, 4)) std::copy_n(running_variance.data(), channels, call.output<T>(4));
}

void batch_norm_training(const ReferenceCall& call) {
  dispatch_float(call.view, call.view.input_dtype(0),
                 [&](auto zero) { batch_norm_training_of<decltype(zero)>(call); });
}

// Sums of dy and dy * normalized x of one group and channel give all three gradients:
// dx = scale inv_std (dy - mean of dy - normalized x * mean of dy normalized x).
template <typename T>
void batch_norm_training_grad_of(const ReferenceCall& call) {
  const ChannelPlan plan(call.view.input(1));
  const T* dy = call.input<T>(0);
  const T* x = call.input<T>(1);
  const std::int64_t group = call.view.attributes().get_int("group", 0);
  for_each_group(plan.samples, group, [&](std::int64_t g, std::int64_t begin, std::int64_t end) {
    const T* mean = call.input<T>(3) + g * plan.channels;
    const T* inv_std = call.input<T>(4) + g * plan.channels;
    const auto channels = static_cast<std::size_t>(plan.channels);
    std::vector<T> dscale(channels, T{0}), dbias(channels, T{0});
    plan.for_each_row(begin, end, [&](std::int64_t first, std::int64_t channel) {
      const auto c = static_cast<std::size_t>(channel);
      for (std::int64_t i = first; i < first + plan.positions; ++i) {
        dscale[c] += dy[i] * ((x[i] - mean[c]) * inv_std[c]);
        dbias[c] += dy[i];
      }
    });
    const T count = static_cast<T>((end - begin) * plan.positions);
    plan.for_each_row(begin, end, [&](std::int64_t first, std::int64_t channel) {
      const auto c = static_cast<std::size_t>(channel);
      const T factor = call.input<T>(2)[channel] * inv_std[c];
      if (!wants_output(call, 0)) return;
      for (std::int64_t i = first; i < first + plan.positions; ++i) {
        const T normalized = (x[i] - mean[c]) * inv_std[c];
        call.output<T>(0)[i] =
            factor * (dy[i] - dbias[c] / count - normalized * (dscale[c] / count));
      }
    });
    const std::int64_t row = g * plan.channels;
    if (wants_output(call, 1)) std::copy_n(dscale.data(), channels, call.output<T>(1) + row);
    if (wants_output(call, 2)) std::copy_n(dbias.data(), channels, call.output<T>(2) + row);
  });
}

void batch_norm_training_grad(const ReferenceCall& call) {
  dispatch_float(call.view, call.view.input_dtype(0),
                 [&](auto zero) { batch_norm_training_grad_of<decltype(zero)>(call); });
}

// Axes from `axis` on are normalized together: lines of `length` elements.
struct LayerPlan {
  std::int64_t lines, length;
  Shape normalized;

  LayerPlan(const NodeView& view, int x) {
    const Shape& shape = view.input(x);
    const int axis = view.axis("axis", -1, shape.rank());
    lines = shape.elements(0, axis);
    length = shape.elements(axis, shape.rank());
    normalized = Shape(std::vector<std::int64_t>(shape.dims().begin() + axis, shape.dims().end()));
  }
};

// Input i, which broadcasts to the normalized axes, one element for each element of a line; all
// `absent` where it is absent.
template <typename T>
std::vector<T> spread(const ReferenceCall& call, const LayerPlan& plan, int i, T absent) {
  std::vector<T> result(static_cast<std::size_t>(plan.length), absent);
  if (!call.has_input(i)) return result;
  const std::array<Strides, 1> strides{broadcast_strides(call.view.input(i), plan.normalized)};
  walk(plan.normalized, strides, [&](std::int64_t k, const auto& offsets) {
    result[static_cast<std::size_t>(k)] = call.input<T>(i)[offsets[0]];
  });
  return result;
}

template <typename T>
void layer_norm_of(const ReferenceCall& call) {
  const LayerPlan plan(call.view, 0);
  const std::vector<T> scale = spread(call, plan, 1, T{1});
  const std::vector<T> bias = spread(call, plan, 2, T{0});
  const T epsilon = static_cast<T>(epsilon_of(call.view)), count = static_cast<T>(plan.length);
  for (std::int64_t line = 0; line < plan.lines; ++line) {
    const T* x = call.input<T>(0) + line * plan.length;
    T sum = 0, squares = 0;
    for (std::int64_t i = 0; i < plan.length; ++i) sum += x[i];
    const T mean = sum / count;
    for (std::int64_t i = 0; i < plan.length; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const T inv_std = T{1} / std::sqrt(squares / count + epsilon);
    T* y = call.output<T>(0) + line * plan.length;
    for (std::int64_t i = 0; i < plan.length; ++i) {
      const auto k = static_cast<std::size_t>(i);
      y[i] = (x[i] - mean) * inv_std * scale[k] + bias[k];
    }
    if (wants_output(call, 1)) call.output<T>(1)[line] = mean;
    if (wants_output(call, 2)) call.output<T>(2)[line] = inv_std;
  }
}

void layer_norm(const ReferenceCall& call) {
  dispatch_float(call.view, call.view.input_dtype(0),
                 [&](auto zero) { layer_norm_of<decltype(zero)>(call); });
}

// With g = dy scale: dx = inv_std (g - mean of g - normalized x * mean of g normalized x).
template <typename T>
void layer_norm_grad_of(const ReferenceCall& call) {
  const LayerPlan plan(call.view, 1);
  const std::vector<T> scale = spread(call, plan, 2, T{1});
  const T count = static_cast<T>(plan.length);
  std::vector<T> normalized(scale.size());
  for (std::int64_t line = 0; line < plan.lines; ++line) {
    const T mean = call.input<T>(3)[line], inv_std = call.input<T>(4)[line];
    const T* dy = call.input<T>(0) + line * plan.length;
    const T* x = call.input<T>(1) + line * plan.length;
    T sum = 0, dot = 0;
    for (std::size_t k = 0; k < scale.size(); ++k) {
      normalized[k] = (x[k] - mean) * inv_std;
      sum += dy[k] * scale[k];
      dot += dy[k] * scale[k] * normalized[k];
    }
    for (std::size_t k = 0; k < scale.size(); ++k) {
      const std::size_t at = static_cast<std::size_t>(line * plan.length) + k;
      const T product = dy[k] * normalized[k];
      if (wants_output(call, 0)) {
        call.output<T>(0)[at] =
            inv_std * (dy[k] * scale[k] - sum / count - normalized[k] * (dot / count));
      }
      if (wants_output(call, 1)) call.output<T>(1)[at] = product;
    }
  }
}

void layer_norm_grad(const ReferenceCall& call) {
  dispatch_float(call.view, call.view.input_dtype(0),
                 [&](auto zero) { layer_norm_grad_of<decltype(zero)>(call); });
}

constexpr ReferenceRow kRows[] = {{"BatchNormalization", batch_norm},
                                  {"BatchNormalizationTraining", batch_norm_training},
                                  {"BatchNormalizationTrainingGrad", batch_norm_training_grad},
                                  {"LayerNormalization", layer_norm},
                                  {"LayerNormalizationGrad", layer_norm_grad},
                                  {"LRN", lrn},
                                  {"LRNGrad", lrn_grad}};

}  // namespace

std::span<const ReferenceRow> normalization_kernels() { return kRows; }

}  // namespace batchwise::reference

// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/normalization.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/softmax.h"
#include "base/check.h"

namespace batchwise::cpu {
namespace {

std::optional<std::string> refuse(const KernelRequest& request) {
  return refuse_other_types(request);
}

// --- softmax ---

SoftmaxShape softmax_shape(const KernelRequest& request) {
  const Shape& shape = request.output(0);
  const int axis = request.axis("axis", -1, shape.rank());
  return {shape.elements(0, axis), shape[axis], shape.elements(axis + 1, shape.rank())};
}

using SoftmaxFunction = void (*)(const SoftmaxShape&, const float*, float*, ThreadPool*);
template <SoftmaxFunction kFunction>
std::unique_ptr<Kernel> prepare_softmax(const KernelRequest& request) {
  const SoftmaxShape shape = softmax_shape(request);
  const std::int64_t count = request.output(0).elements();
  return make_kernel([=](const KernelCall& call) {
    kFunction(shape, call.input<float>(0), call.output<float>(0), pool_for(call, count));
  });
}

using SoftmaxGradFunction = void (*)(const SoftmaxShape&, const float*, const float*, float*,
                                     ThreadPool*);
template <SoftmaxGradFunction kFunction>
std::unique_ptr<Kernel> prepare_softmax_grad(const KernelRequest& request) {
  const SoftmaxShape shape = softmax_shape(request);
  const std::int64_t count = request.output(0).elements();
  return make_kernel([=](const KernelCall& call) {
    kFunction(shape, call.input<float>(0), call.input<float>(1), call.output<float>(0),
              pool_for(call, count));
  });
}

// --- layer normalization ---

std::optional<std::string> refuse_layer_norm(const KernelRequest& request) {
  const bool is_gradient = request.node().op == "LayerNormalizationGrad";
  const int data = is_gradient ? 1 : 0;
  const Shape& x = request.input(data);
  const int axis = request.axis("axis", -1, x.rank());
  for (int i = data + 1; i < (is_gradient ? 3 : request.num_inputs()); ++i) {
    if (request.has_input(i) && request.input(i).elements() != x.elements(axis, x.rank())) {
      return "its scale or bias broadcasts";
    }
  }
  return refuse_other_types(request);
}

std::unique_ptr<Kernel> prepare_layer_norm(const KernelRequest& request) {
  const Shape& x = request.input(0);
  const int axis = request.axis("axis", -1, x.rank());
  LayerNorm prepared;
  prepared.rows = x.elements(0, axis);
  prepared.count = x.elements(axis, x.rank());
  prepared.epsilon = static_cast<float>(request.attributes().get_float("epsilon", 1e-5));
  const bool has_bias = request.has_input(2);
  const int outputs = request.num_outputs();
  return make_kernel([=](const KernelCall& call) {
    LayerNorm now = prepared;
    now.x = call.input<float>(0);
    now.scale = call.input<float>(1);
    now.bias = has_bias ? call.input<float>(2) : nullptr;
    now.y = call.output<float>(0);
    now.mean = outputs > 1 ? call.output<float>(1) : nullptr;
    now.inv_std = outputs > 2 ? call.output<float>(2) : nullptr;
    layer_norm(now, pool_for(call, now.rows * now.count));
  });
}

std::unique_ptr<Kernel> prepare_layer_norm_grad(const KernelRequest& request) {
  const Shape& x = request.input(1);
  const int axis = request.axis("axis", -1, x.rank());
  LayerNormGrad prepared;
  prepared.rows = x.elements(0, axis);
  prepared.count = x.elements(axis, x.rank());
  const int outputs = request.num_outputs();
  return make_kernel([=](const KernelCall& call) {
    LayerNormGrad now = prepared;
    now.dy = call.input<float>(0);
    now.x = call.input<float>(1);
    now.scale = call.input<float>(2);
    now.mean = call.input<float>(3);
    now.inv_std = call.input<float>(4);
    now.dx = call.output<float>(0);
    now.dscale_terms = outputs > 1 ? call.output<float>(1) : nullptr;
    layer_norm_grad(now, pool_for(call, now.rows * now.count));
  });
}

// --- batch normalization ---

// [outer, channels, inner] as the values lie.
struct ChannelSizes {
  std::int64_t outer, channels, inner;
};
ChannelSizes channel_sizes(const KernelRequest& request, const Shape& shape) {
  const std::int64_t positions = shape.elements(2, shape.rank());
  if (is_channels_last(request)) return {shape[0] * positions, shape[1], 1};
  return {shape[0], shape[1], positions};
}

std::unique_ptr<Kernel> prepare_batch_norm(const KernelRequest& request) {
  const ChannelSizes sizes = channel_sizes(request, request.input(0));
  const auto epsilon = static_cast<float>(request.attributes().get_float("epsilon", 1e-5));
  const std::int64_t padded = (sizes.channels + 15) / 16 * 16;
  return make_kernel(
      [=](const KernelCall& call) {
        auto* factor = static_cast<float*>(call.scratch);
        float* shift = factor + padded;
        batch_norm_fold(sizes.channels, call.input<float>(1), call.input<float>(2),
                        call.input<float>(3), call.input<float>(4), epsilon, factor, shift);
        scale_shift_channels(sizes.outer, sizes.channels, sizes.inner, factor, shift,
                             call.input<float>(0), call.output<float>(0),
                             pool_for(call, sizes.outer * sizes.channels * sizes.inner));
      },
      2 * padded * 4);
}

BatchNormGroups norm_groups(const KernelRequest& request, const Shape& shape) {
  const std::int64_t positions = shape.elements(2, shape.rank());
  return {shape[0] * positions, shape[1], request.attributes().get_int("group", 0) * positions};
}

std::unique_ptr<Kernel> prepare_batch_norm_training(const KernelRequest& request) {
  BatchNormTraining prepared;
  prepared.groups = norm_groups(request, request.input(0));
  prepared.epsilon = static_cast<float>(request.attributes().get_float("epsilon", 1e-5));
  const auto momentum = static_cast<float>(request.attributes().get_float("momentum", 0.9));
  const std::int64_t groups = prepared.groups.groups(), channels = prepared.groups.channels;
  return make_kernel(
      [=](const KernelCall& call) {
        BatchNormTraining now = prepared;
        now.x = call.input<float>(0);
        now.scale = call.input<float>(1);
        now.bias = call.input<float>(2);
        now.y = call.output<float>(0);
        now.mean = call.output<float>(1);
        now.inv_std = call.output<float>(2);
        now.variance = static_cast<float*>(call.scratch);
        batch_norm_training(now, pool_for(call, now.groups.rows * channels));
        update_running_moment(groups, channels, momentum, now.mean, call.output<float>(3));
        update_running_moment(groups, channels, momentum, now.variance, call.output<float>(4));
      },
      (groups * channels + 15) / 16 * 64);
}

std::unique_ptr<Kernel> prepare_batch_norm_training_grad(const KernelRequest& request) {
  BatchNormTrainingGrad prepared;
  prepared.groups = norm_groups(request, request.input(1));
  return make_kernel([=](const KernelCall& call) {
    BatchNormTrainingGrad now = prepared;
    now.dy = call.input<float>(0);
    now.x = call.input<float>(1);
    now.scale = call.input<float>(2);
    now.mean = call.input<float>(3);
    now.inv_std = call.input<float>(4);
    now.dx = call.output<float>(0);
    now.dscale = call.output<float>(1);
    now.dbias = call.output<float>(2);
    batch_norm_training_grad(now, pool_for(call, now.groups.rows * now.groups.channels));
  });
}

// Moments are by group and must all be wanted, as autodiff always does.
std::optional<std::string> refuse_batch_norm_training(const KernelRequest& request) {
  const int outputs = request.node().op == "BatchNormalizationTraining" ? 5 : 3;
  for (int o = 0; o < outputs; ++o) {
    if (!request.has_output(o)) return fmt::format("output {} is absent", o);
  }
  return refuse_other_types(request);
}

// --- local response normalization ---

std::optional<std::string> refuse_lrn(const KernelRequest& request) {
  if (request.attributes().get_int("size", 0) > Lrn::kMaxSize) return "its size is above 32";
  return refuse_other_types(request);
}

Lrn prepared_lrn(const KernelRequest& request) {
  const ChannelSizes sizes = channel_sizes(request, request.output(0));
  Lrn prepared;
  prepared.outer = sizes.outer;
  prepared.channels = sizes.channels;
  prepared.inner = sizes.inner;
  prepared.size = request.attributes().get_int("size", 5);
  prepared.alpha = static_cast<float>(request.attributes().get_float("alpha", 1e-4));
  prepared.beta = static_cast<float>(request.attributes().get_float("beta", 0.75));
  prepared.bias = static_cast<float>(request.attributes().get_float("bias", 1.0));
  return prepared;
}

std::unique_ptr<Kernel> prepare_lrn(const KernelRequest& request) {
  const Lrn prepared = prepared_lrn(request);
  const std::int64_t count = request.output(0).elements();
  return make_kernel([=](const KernelCall& call) {
    lrn(prepared, call.input<float>(0), call.output<float>(0), pool_for(call, count));
  });
}

std::unique_ptr<Kernel> prepare_lrn_grad(const KernelRequest& request) {
  const Lrn prepared = prepared_lrn(request);
  const std::int64_t count = request.output(0).elements();
  return make_kernel([=](const KernelCall& call) {
    lrn_grad(prepared, call.input<float>(0), call.input<float>(1), call.input<float>(2),
             call.output<float>(0), pool_for(call, count));
  });
}

}  // namespace

std::span<const KernelDef> normalization_rows() {
  static const KernelDef rows[] = {
      {.op = "Softmax",
       .name = "cpu softmax",
       .refuse = refuse,
       .prepare = prepare_softmax<softmax>},
      {.op = "LogSoftmax",
       .name = "cpu softmax",
       .refuse = refuse,
       .prepare = prepare_softmax<log_softmax>},
      {.op = "SoftmaxGrad",
       .name = "cpu softmax gradient",
       .refuse = refuse,
       .prepare = prepare_softmax_grad<softmax_grad>},
      {.op = "LogSoftmaxGrad",
       .name = "cpu softmax gradient",
       .refuse = refuse,
       .prepare = prepare_softmax_grad<log_softmax_grad>},
      {.op = "LayerNormalization",
       .name = "cpu layer normalization",
       .refuse = refuse_layer_norm,
       .prepare = prepare_layer_norm},
      {.op = "LayerNormalizationGrad",
       .name = "cpu layer normalization gradient",
       .refuse = refuse_layer_norm,
       .prepare = prepare_layer_norm_grad},
      {.op = "BatchNormalization",
       .name = "cpu batch normalization",
       .refuse = refuse,
       .prepare = prepare_batch_norm,
       .layout = LayoutSupport::kAny},
      {.op = "BatchNormalizationTraining",
       .name = "cpu batch normalization of groups",
       .refuse = refuse_batch_norm_training,
       .prepare = prepare_batch_norm_training,
       .layout = LayoutSupport::kChannelsLast,
       .activation_inputs = 0b1},
      {.op = "BatchNormalizationTrainingGrad",
       .name = "cpu batch normalization gradient",
       .refuse = refuse_batch_norm_training,
       .prepare = prepare_batch_norm_training_grad,
       .layout = LayoutSupport::kChannelsLast,
       .activation_inputs = 0b11},
      {.op = "LRN",
       .name = "cpu local response normalization",
       .refuse = refuse_lrn,
       .prepare = prepare_lrn,
       .layout = LayoutSupport::kAny},
      {.op = "LRNGrad",
       .name = "cpu local response normalization gradient",
       .refuse = refuse_lrn,
       .prepare = prepare_lrn_grad,
       .layout = LayoutSupport::kAny},
  };
  return rows;
}

}  // namespace batchwise::cpu

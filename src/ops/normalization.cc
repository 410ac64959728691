// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "ops/families.h"
#include "ops/row_rules.h"

namespace batchwise {
namespace {

constexpr double kDefaultEpsilon = 1e-5;

// --- BatchNormalization ---

// x (N, C, ...) at input `x`, and vectors [C] at inputs [begin, end).
void require_channel_vectors(const NodeView& view, int x, int begin, int end) {
  require_rank_at_least(view, x, 2);
  const Shape channels{view.input(x)[1]};
  for (int i = begin; i < end; ++i) {
    require_shape(view, i, channels, fmt::format("input {}", i));
  }
}

std::vector<TensorType> infer_batch_norm(const NodeView& view) {
  require_one_float_type(view, 1, view.num_inputs());
  require_channel_vectors(view, 0, 1, 5);
  if (view.attributes().get_int("training_mode", 0) != 0) {
    fail_input(view.where(), "training_mode=1 is not supported in a model that is read");
  }
  return {type_of(view, 0)};
}

BatchCarry carry_batch_norm(const NodeView& view, std::span<const BatchAxis> batch) {
  return carry_along(view, batch, 0b1, 1);
}

// y = (x - mean) * inv_std * scale + bias with mean and inv_std fixed.
void gradient_batch_norm(GradientContext& context) {
  GraphBuilder& build = context.build;
  const ValueId x = context.input(0), dy = context.grad_output();
  const int rank = build.shape(x).rank();
  const DType dtype = build.dtype(x);
  const double epsilon = context.node().attributes.get_float("epsilon", kDefaultEpsilon);
  const ValueId variance = build.op("Add", {context.input(4), build.scalar(epsilon, dtype)});
  const ValueId std = build.op("Sqrt", {variance});
  if (context.wants(0)) {
    const ValueId factor = build.op("Div", {context.input(1), std});
    context.set(0, build.op("Mul", {dy, as_channels(build, factor, rank)}));
  }
  if (context.wants(1)) {
    const ValueId centered = build.op("Sub", {x, as_channels(build, context.input(3), rank)});
    const ValueId normalized = build.op("Div", {centered, as_channels(build, std, rank)});
    context.set(1, sum_to_channels(build, build.op("Mul", {dy, normalized})));
  }
  if (context.wants(2)) context.set(2, sum_to_channels(build, dy));
}

// Samples of a group; the last group takes the remainder.
std::int64_t num_groups(const NodeView& view, std::int64_t samples) {
  const std::int64_t group = view.attributes().get_int("group", 0);
  if (group < 0) fail_input(view.where(), "group is {}, which is negative", group);
  return group == 0 ? 1 : std::max<std::int64_t>(1, samples / group);
}

std::vector<TensorType> infer_batch_norm_training(const NodeView& view) {
  require_one_float_type(view, 1, view.num_inputs());
  require_channel_vectors(view, 0, 1, 5);
  const DType dtype = view.input_dtype(0);
  const Shape& x = view.input(0);
  const TensorType statistic{dtype, Shape{num_groups(view, x[0]), x[1]}};
  const TensorType running{dtype, Shape{x[1]}};
  return {type_of(view, 0), statistic, statistic, running, running};
}

// Where the samples lie is told all the same, for passes that only bind shapes.
BatchCarry carry_batch_norm_training(const NodeView& view, std::span<const BatchAxis> batch) {
  BatchCarry carry = carry_mix(view, "it takes mean and variance over the samples of a group");
  carry.outputs[0] = batch[0];
  return carry;
}

void gradient_batch_norm_training(GradientContext& context) {
  require_gradient_of_first_only(context);
  GraphBuilder& build = context.build;
  const std::vector<ValueId> outputs = complete_outputs(context, 3);
  const Attributes group{{"group", context.node().attributes.get_int("group", 0)}};
  const std::vector<ValueId> gradients =
      build.ops("BatchNormalizationTrainingGrad",
                {context.grad_output(), context.input(0), context.input(1), outputs[1], outputs[2]},
                group, 3);
  if (context.wants(0)) context.set(0, gradients[0]);
  for (int i = 1; i < 3; ++i) {
    const Attributes shape{{"shape", build.shape(context.input(i)).dims()}};
    const ValueId by_group = gradients[static_cast<std::size_t>(i)];
    if (context.wants(i)) context.set(i, build.op("SumTo", {by_group}, shape));
  }
}

std::vector<TensorType> infer_batch_norm_training_grad(const NodeView& view) {
  require_one_float_type(view, 1, view.num_inputs());
  require_channel_vectors(view, 1, 2, 3);
  const Shape& x = view.input(1);
  const Shape statistic{num_groups(view, x[0]), x[1]};
  require_shape(view, 0, x, "dy");
  require_shape(view, 3, statistic, "mean");
  require_shape(view, 4, statistic, "inv_std");
  const TensorType by_group{view.input_dtype(0), statistic};
  return {type_of(view, 1), by_group, by_group};
}

BatchCarry carry_batch_norm_training_grad(const NodeView& view, std::span<const BatchAxis> batch) {
  BatchCarry carry = carry_mix(view, "it sums over the samples of a group");
  carry.outputs[0] = batch[1];
  return carry;
}

// --- LayerNormalization ---

// The shape of mean and inv_std: 1 along the normalized axes.
Shape layer_statistics_shape(const Shape& x, int axis) {
  Shape shape = x;
  for (int i = axis; i < x.rank(); ++i) shape[i] = 1;
  return shape;
}

Shape normalized_shape(const Shape& x, int axis) {
  return Shape(std::vector<std::int64_t>(x.dims().begin() + axis, x.dims().end()));
}

// scale and bias may be broadcast to the normalized axes.
void require_layer_vector(const NodeView& view, int i, const Shape& normalized) {
  const Shape joint = broadcast_shapes(view.input(i), normalized, view.where());
  if (joint != normalized) {
    fail_input(view.where(), "input {} of shape {} does not broadcast to the normalized axes {}", i,
               view.input(i).to_string(), normalized.to_string());
  }
}

std::vector<TensorType> infer_layer_norm(const NodeView& view) {
  require_one_float_type(view, 1, view.num_inputs());
  require_rank_at_least(view, 0, 1);
  const Shape& x = view.input(0);
  const int axis = view.axis("axis", -1, x.rank());
  const Shape normalized = normalized_shape(x, axis);
  if (normalized.elements() < 1) {
    fail_input(view.where(), "there is nothing to normalize in {}", x.to_string());
  }
  require_layer_vector(view, 1, normalized);
  if (view.has_input(2)) require_layer_vector(view, 2, normalized);
  const TensorType statistic{view.input_dtype(0), layer_statistics_shape(x, axis)};
  return {type_of(view, 0), statistic, statistic};
}

BatchCarry carry_layer_norm(const NodeView& view, std::span<const BatchAxis> batch) {
  return carry_along(view, batch, 0b1, view.axis("axis", -1, view.input(0).rank()));
}

void gradient_layer_norm(GradientContext& context) {
  require_gradient_of_first_only(context);
  GraphBuilder& build = context.build;
  const ValueId dy = context.grad_output();
  if (context.wants(0) || context.wants(1)) {
    const std::vector<ValueId> outputs = complete_outputs(context, 3);
    const Attributes axis{{"axis", context.node().attributes.get_int("axis", -1)}};
    const std::vector<ValueId> gradients =
        build.ops("LayerNormalizationGrad",
                  {dy, context.input(0), context.input(1), outputs[1], outputs[2]}, axis, 2);
    if (context.wants(0)) context.set(0, gradients[0]);
    if (context.wants(1)) context.set(1, sum_to_input(context, gradients[1], 1));
  }
  if (context.wants(2)) context.set(2, sum_to_input(context, dy, 2));
}

std::vector<TensorType> infer_layer_norm_grad(const NodeView& view) {
  require_one_float_type(view, 1, view.num_inputs());
  require_rank_at_least(view, 1, 1);
  const Shape& x = view.input(1);
  const int axis = view.axis("axis", -1, x.rank());
  require_shape(view, 0, x, "dy");
  require_layer_vector(view, 2, normalized_shape(x, axis));
  require_shape(view, 3, layer_statistics_shape(x, axis), "mean");
  require_shape(view, 4, layer_statistics_shape(x, axis), "inv_std");
  return {type_of(view, 1), type_of(view, 1)};
}

BatchCarry carry_layer_norm_grad(const NodeView& view, std::span<const BatchAxis> batch) {
  return carry_along(view, batch, 0b11011, view.axis("axis", -1, view.input(1).rank()));
}

// --- LRN ---

std::vector<TensorType> infer_lrn(const NodeView& view) {
  require_rank_at_least(view, 0, 2);
  const std::int64_t size = view.attributes().get_int("size");
  if (size < 1) fail_input(view.where(), "size is {}, which is not positive", size);
  return infer_all_same_float(view);
}

BatchCarry carry_lrn(const NodeView& view, std::span<const BatchAxis> batch) {
  return carry_along(view, batch, ~0u, 1);
}

void gradient_lrn(GradientContext& context) {
  Attributes attributes = context.node().attributes;
  context.set(
      0, context.build.op("LRNGrad", {context.grad_output(), context.input(0), context.output(0)},
                          std::move(attributes)));
}

double flops_lrn(const NodeView& view) {
  return (4.0 + 2.0 * static_cast<double>(view.attributes().get_int("size"))) *
         static_cast<double>(view.output(0).elements());
}

// A subtraction, two multiplications and an addition; statistics take as much again.
double flops_affine(const NodeView& view) {
  return 4.0 * static_cast<double>(view.output(0).elements());
}
double flops_with_statistics(const NodeView& view) { return 2.0 * flops_affine(view); }

constexpr AttributeDef kBatchNormAttributes[] = {{"epsilon", AttributeType::kFloat},
                                                 {"momentum", AttributeType::kFloat},
                                                 {"training_mode", AttributeType::kInt}};
constexpr AttributeDef kBatchNormTrainingAttributes[] = {{"epsilon", AttributeType::kFloat},
                                                         {"momentum", AttributeType::kFloat},
                                                         {"group", AttributeType::kInt}};
constexpr AttributeDef kGroup[] = {{"group", AttributeType::kInt}};
constexpr AttributeDef kLayerNormAttributes[] = {{"axis", AttributeType::kInt},
                                                 {"epsilon", AttributeType::kFloat},
                                                 {"stash_type", AttributeType::kInt}};
constexpr AttributeDef kAxis[] = {{"axis", AttributeType::kInt}};
constexpr AttributeDef kLrnAttributes[] = {{"alpha", AttributeType::kFloat},
                                           {"beta", AttributeType::kFloat},
                                           {"bias", AttributeType::kFloat},
                                           {"size", AttributeType::kInt, true}};
constexpr int kBatchNormUpdates[] = {-1, -1, -1, 3, 4};

const OpDef kOps[] = {
    {.name = "BatchNormalization",
     .doc = "normalizes each channel by a given mean and variance",
     .min_opset = 1,
     .min_inputs = 5,
     .max_inputs = 5,
     .attributes = kBatchNormAttributes,
     .infer = infer_batch_norm,
     .carry = carry_batch_norm,
     .gradient = gradient_batch_norm,
     .flops = flops_affine,
     .parameter_inputs = 0b00110,
     .statistic_inputs = 0b11000,
     .in_place_inputs = 0b1},
    {.name = "BatchNormalizationTraining",
     .doc = "normalizes each channel by its mean and variance over groups of samples",
     .min_opset = 0,
     .min_inputs = 5,
     .max_inputs = 5,
     .num_outputs = 5,
     .attributes = kBatchNormTrainingAttributes,
     .infer = infer_batch_norm_training,
     .carry = carry_batch_norm_training,
     .gradient = gradient_batch_norm_training,
     .flops = flops_with_statistics,
     .parameter_inputs = 0b00110,
     .statistic_inputs = 0b11000,
     .updates = kBatchNormUpdates},
    {.name = "BatchNormalizationTrainingGrad",
     .doc = "gradient of BatchNormalizationTraining from dy, x, scale, mean and inv_std",
     .min_opset = 0,
     .min_inputs = 5,
     .max_inputs = 5,
     .num_outputs = 3,
     .attributes = kGroup,
     .infer = infer_batch_norm_training_grad,
     .carry = carry_batch_norm_training_grad,
     .flops = flops_with_statistics},
    {.name = "LayerNormalization",
     .doc = "normalizes each sample over the axes from `axis` on",
     .min_opset = 17,
     .min_inputs = 2,
     .max_inputs = 3,
     .num_outputs = 3,
     .attributes = kLayerNormAttributes,
     .infer = infer_layer_norm,
     .carry = carry_layer_norm,
     .gradient = gradient_layer_norm,
     .flops = flops_with_statistics,
     .parameter_inputs = 0b110},
    {.name = "LayerNormalizationGrad",
     .doc = "gradient of LayerNormalization from dy, x, scale, mean and inv_std; dy * normalized x",
     .min_opset = 0,
     .min_inputs = 5,
     .max_inputs = 5,
     .num_outputs = 2,
     .attributes = kAxis,
     .infer = infer_layer_norm_grad,
     .carry = carry_layer_norm_grad,
     .flops = flops_with_statistics},
    {.name = "LRN",
     .doc = "divides by a power of the squares of neighbouring channels",
     .min_opset = 1,
     .attributes = kLrnAttributes,
     .infer = infer_lrn,
     .carry = carry_lrn,
     .gradient = gradient_lrn,
     .flops = flops_lrn},
    {.name = "LRNGrad",
     .doc = "gradient of LRN from dy, x and y",
     .min_opset = 0,
     .min_inputs = 3,
     .max_inputs = 3,
     .attributes = kLrnAttributes,
     .infer = infer_lrn,
     .carry = carry_lrn,
     .flops = flops_lrn},
};

}  // namespace

std::span<const OpDef> normalization_ops() { return kOps; }

}  // namespace batchwise

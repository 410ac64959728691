// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "ops/families.h"
#include "ops/row_rules.h"
#include "ops/window.h"

namespace batchwise {
namespace {

// Axes 0 and 1 stay apart: windows lie in one sample and one channel.
constexpr int kFirstSpatialAxis = 2;

std::vector<TensorType> infer_pool(const NodeView& view) {
  require_float(view, 0);
  const WindowGeometry geometry = pool_geometry(view);
  return {{view.input_dtype(0), with_spatial(view.input(0)[0], view.input(0)[1], geometry.out)}};
}

BatchCarry carry_pool(const NodeView& view, std::span<const BatchAxis> batch) {
  return carry_along(view, batch, ~0u, kFirstSpatialAxis);
}

// One flop a tap of each output; of a gradient node the output that counts is dy.
double flops_pool(const NodeView& view) {
  return static_cast<double>(view.output(0).elements()) *
         static_cast<double>(pool_geometry(view).taps());
}
double flops_pool_grad(const NodeView& view) {
  return static_cast<double>(view.input(0).elements()) *
         static_cast<double>(pool_geometry(view).taps());
}
double flops_per_input(const NodeView& view) {
  return static_cast<double>(view.input(0).elements());
}

Attributes gradient_attributes(GradientContext& context) {
  const NodeView view(context.build.graph(), context.node());
  Attributes attributes = explicit_window(pool_geometry(view));
  attributes.set("ceil_mode", view.attributes().get_int("ceil_mode", 0));
  return attributes;
}

void gradient_max_pool(GradientContext& context) {
  context.set(0, context.build.op("MaxPoolGrad",
                                  {context.grad_output(), context.input(0), context.output(0)},
                                  gradient_attributes(context)));
}

std::vector<std::int64_t> spatial_of(const Shape& shape) {
  return {shape.dims().begin() + 2, shape.dims().end()};
}

void gradient_average_pool(GradientContext& context) {
  Attributes attributes = gradient_attributes(context);
  attributes.set("input_spatial", spatial_of(context.shape(context.input(0))));
  attributes.set("count_include_pad", context.node().attributes.get_int("count_include_pad", 0));
  context.set(0, context.build.op("AveragePoolGrad", {context.grad_output()}, attributes));
}

std::vector<TensorType> infer_max_pool_grad(const NodeView& view) {
  require_one_float_type(view, 1, 3);
  const WindowGeometry geometry = pool_geometry(view);
  const Shape& x = view.input(1);
  const Shape output = with_spatial(x[0], x[1], geometry.out);
  require_shape(view, 0, output, "dy");
  require_shape(view, 2, output, "y");
  return {type_of(view, 1)};
}

std::vector<TensorType> infer_average_pool_grad(const NodeView& view) {
  require_float(view, 0);
  require_rank_at_least(view, 0, 3);
  const WindowGeometry geometry = pool_geometry(view);
  const Shape& dy = view.input(0);
  require_shape(view, 0, with_spatial(dy[0], dy[1], geometry.out), "dy");
  return {{view.input_dtype(0), with_spatial(dy[0], dy[1], geometry.in)}};
}

std::vector<TensorType> infer_global_pool(const NodeView& view) {
  require_float(view, 0);
  const Shape& x = view.input(0);
  if (x.rank() != 3 && x.rank() != 4) {
    fail_input(view.where(), "only 1-d and 2-d are supported, not a shape of {}", x.to_string());
  }
  if (x.elements(2, x.rank()) < 1) {
    fail_input(view.where(), "there is nothing to average in {}", x.to_string());
  }
  std::vector<std::int64_t> ones(static_cast<std::size_t>(x.rank() - 2), 1);
  return {{view.input_dtype(0), with_spatial(x[0], x[1], ones)}};
}

void gradient_global_pool(GradientContext& context) {
  const Attributes attributes{{"input_spatial", spatial_of(context.shape(context.input(0)))}};
  context.set(0, context.build.op("GlobalAveragePoolGrad", {context.grad_output()}, attributes));
}

std::vector<TensorType> infer_global_pool_grad(const NodeView& view) {
  require_float(view, 0);
  require_rank_at_least(view, 0, 3);
  const Shape& dy = view.input(0);
  const std::vector<std::int64_t> spatial = view.attributes().get_ints("input_spatial");
  std::vector<std::int64_t> ones(spatial.size(), 1);
  require_shape(view, 0, with_spatial(dy[0], dy[1], ones), "dy");
  return {{view.input_dtype(0), with_spatial(dy[0], dy[1], spatial)}};
}

double flops_per_output(const NodeView& view) {
  return static_cast<double>(view.output(0).elements());
}

constexpr AttributeDef kMaxPoolAttributes[] = {
    {"auto_pad", AttributeType::kString}, {"ceil_mode", AttributeType::kInt},
    {"dilations", AttributeType::kInts},  {"kernel_shape", AttributeType::kInts, true},
    {"pads", AttributeType::kInts},       {"storage_order", AttributeType::kInt},
    {"strides", AttributeType::kInts}};
constexpr AttributeDef kAveragePoolAttributes[] = {{"auto_pad", AttributeType::kString},
                                                   {"ceil_mode", AttributeType::kInt},
                                                   {"count_include_pad", AttributeType::kInt},
                                                   {"dilations", AttributeType::kInts},
                                                   {"kernel_shape", AttributeType::kInts, true},
                                                   {"pads", AttributeType::kInts},
                                                   {"strides", AttributeType::kInts}};
constexpr AttributeDef kMaxPoolGradAttributes[] = {{"ceil_mode", AttributeType::kInt},
                                                   {"dilations", AttributeType::kInts},
                                                   {"kernel_shape", AttributeType::kInts, true},
                                                   {"pads", AttributeType::kInts},
                                                   {"strides", AttributeType::kInts}};
constexpr AttributeDef kAveragePoolGradAttributes[] = {
    {"ceil_mode", AttributeType::kInt},
    {"count_include_pad", AttributeType::kInt},
    {"dilations", AttributeType::kInts},
    {"input_spatial", AttributeType::kInts, true},
    {"kernel_shape", AttributeType::kInts, true},
    {"pads", AttributeType::kInts},
    {"strides", AttributeType::kInts}};
constexpr AttributeDef kInputSpatial[] = {{"input_spatial", AttributeType::kInts, true}};

const OpDef kOps[] = {
    {.name = "MaxPool",
     .doc = "largest value in each window of one channel; padding never wins",
     .min_opset = 1,
     .attributes = kMaxPoolAttributes,
     .infer = infer_pool,
     .carry = carry_pool,
     .gradient = gradient_max_pool,
     .flops = flops_pool},
    {.name = "AveragePool",
     .doc = "mean of each window of one channel, with or without the padding in its count",
     .min_opset = 1,
     .attributes = kAveragePoolAttributes,
     .infer = infer_pool,
     .carry = carry_pool,
     .gradient = gradient_average_pool,
     .flops = flops_pool},
    {.name = "GlobalAveragePool",
     .doc = "mean over all positions of one channel",
     .min_opset = 1,
     .infer = infer_global_pool,
     .carry = carry_pool,
     .gradient = gradient_global_pool,
     .flops = flops_per_input},
    {.name = "MaxPoolGrad",
     .doc = "gradient of MaxPool from dy, x and y: to the first largest position of each window",
     .min_opset = 0,
     .min_inputs = 3,
     .max_inputs = 3,
     .attributes = kMaxPoolGradAttributes,
     .infer = infer_max_pool_grad,
     .carry = carry_pool,
     .flops = flops_pool_grad},
    {.name = "AveragePoolGrad",
     .doc = "gradient of AveragePool from dy",
     .min_opset = 0,
     .attributes = kAveragePoolGradAttributes,
     .infer = infer_average_pool_grad,
     .carry = carry_pool,
     .flops = flops_pool_grad},
    {.name = "GlobalAveragePoolGrad",
     .doc = "gradient of GlobalAveragePool from dy",
     .min_opset = 0,
     .attributes = kInputSpatial,
     .infer = infer_global_pool_grad,
     .carry = carry_pool,
     .flops = flops_per_output},
};

}  // namespace

std::span<const OpDef> pooling_ops() { return kOps; }

}  // namespace batchwise

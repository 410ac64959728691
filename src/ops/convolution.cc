// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "ops/families.h"
#include "ops/row_rules.h"
#include "ops/window.h"

namespace batchwise {
namespace {

std::vector<TensorType> infer_conv(const NodeView& view) {
  require_one_float_type(view, 1, view.num_inputs());
  const ConvGeometry geometry = conv_geometry(view);
  const Shape output = with_spatial(geometry.batch, geometry.out_channels, geometry.out);
  if (view.has_input(2)) require_shape(view, 2, Shape{geometry.out_channels}, "the bias");
  require_only_residual(view, 3, output);
  return {{view.input_dtype(0), output}};
}

BatchCarry carry_conv(const NodeView& view, std::span<const BatchAxis> batch) {
  const std::uint32_t residual = view.has_input(3) ? 0b1000u : 0u;
  return carry_along(view, batch, 0b1u | residual, 1);
}

double flops(const ConvGeometry& geometry) {
  return 2.0 * static_cast<double>(geometry.batch) * static_cast<double>(geometry.out_channels) *
         static_cast<double>(geometry.out_positions()) * static_cast<double>(geometry.group_in()) *
         static_cast<double>(geometry.taps());
}

double flops_conv(const NodeView& view) { return flops(conv_geometry(view)); }

void gradient_conv(GradientContext& context) {
  GraphBuilder& build = context.build;
  const ValueId x = context.input(0), w = context.input(1), dy = context.grad_output();
  const ConvGeometry geometry = conv_geometry(NodeView(build.graph(), context.node()));
  const Attributes attributes = explicit_conv(geometry);
  if (context.wants(0)) {
    Attributes with_input = attributes;
    with_input.set("input_spatial", geometry.in);
    context.set(0, build.op("ConvGradInput", {dy, w}, with_input));
  }
  if (context.wants(1)) context.set(1, build.op("ConvGradWeight", {x, dy}, attributes));
  if (context.wants(2)) context.set(2, sum_to_channels(build, dy));
}

std::vector<TensorType> infer_grad_input(const NodeView& view) {
  require_one_float_type(view, 1, view.num_inputs());
  require_rank_at_least(view, 0, 3);
  require_rank_at_least(view, 1, 3);
  const ConvGeometry geometry = conv_geometry(view);
  require_shape(view, 0, with_spatial(geometry.batch, geometry.out_channels, geometry.out), "dy");
  return {{view.input_dtype(0), with_spatial(geometry.batch, geometry.in_channels, geometry.in)}};
}

BatchCarry carry_grad_input(const NodeView& view, std::span<const BatchAxis> batch) {
  return carry_along(view, batch, 0b1, 1);
}

std::vector<TensorType> infer_grad_weight(const NodeView& view) {
  require_one_float_type(view, 1, view.num_inputs());
  require_rank_at_least(view, 0, 3);
  require_rank_at_least(view, 1, 3);
  const ConvGeometry geometry = conv_geometry(view);
  require_shape(view, 1, with_spatial(geometry.batch, geometry.out_channels, geometry.out), "dy");
  const Shape output = with_spatial(geometry.out_channels, geometry.group_in(), geometry.kernel);
  if (view.has_input(2)) require_shape(view, 2, output, "the accumulator");
  return {{view.input_dtype(0), output}};
}

constexpr AttributeDef kConvAttributes[] = {
    {"auto_pad", AttributeType::kString}, {"dilations", AttributeType::kInts},
    {"group", AttributeType::kInt},       {"kernel_shape", AttributeType::kInts},
    {"pads", AttributeType::kInts},       {"strides", AttributeType::kInts}};
constexpr AttributeDef kGradInputAttributes[] = {{"dilations", AttributeType::kInts},
                                                 {"group", AttributeType::kInt},
                                                 {"input_spatial", AttributeType::kInts, true},
                                                 {"kernel_shape", AttributeType::kInts, true},
                                                 {"pads", AttributeType::kInts},
                                                 {"strides", AttributeType::kInts}};
constexpr AttributeDef kGradWeightAttributes[] = {{"dilations", AttributeType::kInts},
                                                  {"group", AttributeType::kInt},
                                                  {"kernel_shape", AttributeType::kInts, true},
                                                  {"pads", AttributeType::kInts},
                                                  {"strides", AttributeType::kInts}};

const OpDef kOps[] = {
    {.name = "Conv",
     .doc = "convolution over one or two axes, with groups and dilation",
     .min_opset = 1,
     .min_inputs = 2,
     .max_inputs = 3,
     .attributes = kConvAttributes,
     .infer = infer_conv,
     .carry = carry_conv,
     .gradient = gradient_conv,
     .flops = flops_conv,
     .parameter_inputs = 0b110},
    {.name = "ConvGradInput",
     .doc = "gradient of Conv with respect to its input, from dy and weights",
     .min_opset = 0,
     .min_inputs = 2,
     .max_inputs = 2,
     .attributes = kGradInputAttributes,
     .infer = infer_grad_input,
     .carry = carry_grad_input,
     .flops = flops_conv},
    {.name = "ConvGradWeight",
     .doc = "gradient of Conv with respect to its weights, summed over samples in their order",
     .min_opset = 0,
     .min_inputs = 2,
     .max_inputs = 3,
     .attributes = kGradWeightAttributes,
     .infer = infer_grad_weight,
     .carry = carry_sums_samples,
     .flops = flops_conv,
     .accumulates = true},
};

}  // namespace

std::span<const OpDef> convolution_ops() { return kOps; }

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "ops/builder.h"
#include "ops/families.h"
#include "ops/rules.h"

namespace batchwise {
namespace {

// dx = Op(dy, y) or Op(dy, x), with the attributes of the node.
void set_gradient(GradientContext& context, const std::string& op, ValueId second) {
  if (!context.wants(0)) return;
  context.set(0, context.build.op(op, {context.grad_output(), second}, context.node().attributes));
}

void gradient_relu(GradientContext& context) {
  set_gradient(context, "ReluGrad", context.output(0));
}
void gradient_leaky_relu(GradientContext& context) {
  set_gradient(context, "LeakyReluGrad", context.input(0));
}
void gradient_sigmoid(GradientContext& context) {
  set_gradient(context, "SigmoidGrad", context.output(0));
}
void gradient_tanh(GradientContext& context) {
  set_gradient(context, "TanhGrad", context.output(0));
}
void gradient_gelu(GradientContext& context) {
  set_gradient(context, "GeluGrad", context.input(0));
}
void gradient_erf(GradientContext& context) { set_gradient(context, "ErfGrad", context.input(0)); }
void gradient_clip(GradientContext& context) {
  if (!context.wants(0)) return;
  std::vector<ValueId> inputs{context.grad_output(), context.input(0)};
  for (std::size_t i = 1; i < context.node().inputs.size(); ++i) {
    inputs.push_back(context.node().inputs[i]);
  }
  context.set(0, context.build.op("ClipGrad", std::move(inputs)));
}

// Bounds from input `first` on: scalars of the type of input 0.
void require_bounds(const NodeView& view, int first) {
  for (int i = first; i < view.num_inputs(); ++i) {
    if (!view.has_input(i)) continue;
    require_same_dtype(view, i);
    if (view.input(i).elements() != 1) {
      fail_input(view.where(), "bound {} must be one number, not of shape {}", i,
                 view.input(i).to_string());
    }
  }
}

std::vector<TensorType> infer_clip(const NodeView& view) {
  const DType dtype = view.input_dtype(0);
  if (!is_float(dtype) && !is_integer(dtype)) {
    fail_input(view.where(), "does not take {}", dtype_name(dtype));
  }
  require_bounds(view, 1);
  return infer_same(view);
}

std::vector<TensorType> infer_clip_grad(const NodeView& view) {
  require_float(view, 0);
  require_same_dtype(view, 1);
  require_shape(view, 1, view.input(0));
  require_bounds(view, 2);
  return infer_same(view);
}

void require_known_approximation(const NodeView& view) {
  const std::string approximate = view.attributes().get_string("approximate", "none");
  if (approximate != "none" && approximate != "tanh") {
    fail_input(view.where(), "approximate must be none or tanh, not '{}'", approximate);
  }
}

std::vector<TensorType> infer_gelu(const NodeView& view) {
  require_known_approximation(view);
  return infer_same_float(view);
}

std::vector<TensorType> infer_gelu_grad(const NodeView& view) {
  require_known_approximation(view);
  return infer_all_same_float(view);
}

constexpr AttributeDef kAlpha[] = {{"alpha", AttributeType::kFloat}};
constexpr AttributeDef kApproximate[] = {{"approximate", AttributeType::kString}};

OpDef activation(std::string_view name, std::string_view doc, void (*gradient)(GradientContext&),
                 std::span<const AttributeDef> attributes = {}, int min_opset = 1) {
  return {.name = name,
          .doc = doc,
          .min_opset = min_opset,
          .attributes = attributes,
          .infer = infer_same_float,
          .carry = carry_same,
          .gradient = gradient,
          .flops = flops_per_element,
          .elementwise = true,
          .in_place_inputs = 0b1};
}

OpDef activation_grad(std::string_view name, std::string_view doc,
                      std::span<const AttributeDef> attributes = {}) {
  return {.name = name,
          .doc = doc,
          .min_opset = 0,
          .min_inputs = 2,
          .max_inputs = 2,
          .attributes = attributes,
          .infer = infer_all_same_float,
          .carry = carry_same,
          .flops = flops_per_element,
          .elementwise = true,
          .in_place_inputs = 0b11};
}

OpDef with_infer(OpDef row, int max_inputs, std::vector<TensorType> (*infer)(const NodeView&)) {
  row.max_inputs = max_inputs;
  row.infer = infer;
  return row;
}

const OpDef kOps[] = {
    activation("Relu", "max(x, 0)", gradient_relu),
    activation("LeakyRelu", "x where x >= 0, alpha x elsewhere", gradient_leaky_relu, kAlpha),
    with_infer(activation("Clip", "x held between min and max", gradient_clip), 3, infer_clip),
    activation("Sigmoid", "1 / (1 + e^-x)", gradient_sigmoid),
    activation("Tanh", "tanh(x)", gradient_tanh),
    with_infer(activation("Gelu", "x times the normal distribution function at x", gradient_gelu,
                          kApproximate, 20),
               1, infer_gelu),
    activation("Erf", "the error function", gradient_erf, {}, 9),
    activation_grad("ReluGrad", "dx of Relu, from dy and y"),
    activation_grad("LeakyReluGrad", "dx of LeakyRelu, from dy and x", kAlpha),
    with_infer(activation_grad("ClipGrad", "dx of Clip, from dy, x, min and max"), 4,
               infer_clip_grad),
    activation_grad("SigmoidGrad", "dx of Sigmoid, from dy and y"),
    activation_grad("TanhGrad", "dx of Tanh, from dy and y"),
    with_infer(activation_grad("GeluGrad", "dx of Gelu, from dy and x", kApproximate), 2,
               infer_gelu_grad),
    activation_grad("ErfGrad", "dx of Erf, from dy and x"),
};

}  // namespace

std::span<const OpDef> activation_ops() { return kOps; }

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "ops/families.h"
#include "ops/row_rules.h"

namespace batchwise {
namespace {

// `gradient`, of the shape of the output, as the gradient of input i, which was broadcast to it.
void set_summed(GradientContext& context, int i, ValueId gradient) {
  context.set(i, sum_to_input(context, gradient, i));
}

void gradient_add(GradientContext& context) {
  for (int i = 0; context.has_input(i); ++i) {
    if (context.wants(i)) set_summed(context, i, context.grad_output());
  }
}

void gradient_sub(GradientContext& context) {
  const ValueId dy = context.grad_output();
  if (context.wants(0)) set_summed(context, 0, dy);
  if (context.wants(1)) set_summed(context, 1, context.build.op("Neg", {dy}));
}

void gradient_mul(GradientContext& context) {
  const ValueId dy = context.grad_output();
  for (int i = 0; i < 2; ++i) {
    if (context.wants(i)) {
      set_summed(context, i, context.build.op("Mul", {dy, context.input(1 - i)}));
    }
  }
}

// y = a / b: da = dy / b, db = -(dy / b) y.
void gradient_div(GradientContext& context) {
  if (!context.wants(0) && !context.wants(1)) return;
  const ValueId da = context.build.op("Div", {context.grad_output(), context.input(1)});
  if (context.wants(0)) set_summed(context, 0, da);
  if (!context.wants(1)) return;
  const ValueId product = context.build.op("Mul", {da, context.output(0)});
  set_summed(context, 1, context.build.op("Neg", {product}));
}

// y = a^b: da = dy b a^(b-1), db = dy y log(a).
void gradient_pow(GradientContext& context) {
  GraphBuilder& build = context.build;
  const ValueId a = context.input(0), b = context.input(1), dy = context.grad_output();
  if (context.wants(0)) {
    const ValueId less = build.op("Sub", {b, build.scalar(1, build.dtype(b))});
    const ValueId slope = build.op("Mul", {build.op("Pow", {a, less}), b});
    set_summed(context, 0, build.op("Mul", {dy, slope}));
  }
  if (context.wants(1)) {
    const ValueId slope = build.op("Mul", {context.output(0), build.op("Log", {a})});
    set_summed(context, 1, build.op("Mul", {dy, slope}));
  }
}

// y = sqrt(x): dx = dy / 2 / y.
void gradient_sqrt(GradientContext& context) {
  GraphBuilder& build = context.build;
  const ValueId dy = context.grad_output();
  const ValueId half = build.op("Mul", {dy, build.scalar(0.5, build.dtype(dy))});
  if (context.wants(0)) context.set(0, build.op("Div", {half, context.output(0)}));
}

void gradient_exp(GradientContext& context) {
  if (!context.wants(0)) return;
  context.set(0, context.build.op("Mul", {context.grad_output(), context.output(0)}));
}

void gradient_log(GradientContext& context) {
  if (!context.wants(0)) return;
  context.set(0, context.build.op("Div", {context.grad_output(), context.input(0)}));
}

void gradient_neg(GradientContext& context) {
  if (context.wants(0)) context.set(0, context.build.op("Neg", {context.grad_output()}));
}

void gradient_abs(GradientContext& context) {
  if (!context.wants(0)) return;
  GraphBuilder& build = context.build;
  const ValueId x = context.input(0), dy = context.grad_output();
  const ValueId negative = build.op("Less", {x, build.scalar(0, build.dtype(x))});
  context.set(0, build.op("Where", {negative, build.op("Neg", {dy}), dy}));
}

// y = 1 / x: dx = -dy y y.
void gradient_reciprocal(GradientContext& context) {
  if (!context.wants(0)) return;
  GraphBuilder& build = context.build;
  const ValueId y = context.output(0);
  const ValueId product = build.op("Mul", {build.op("Mul", {context.grad_output(), y}), y});
  context.set(0, build.op("Neg", {product}));
}

// Max and Min: every input that equals the result gets the whole gradient.
void gradient_extreme(GradientContext& context) {
  GraphBuilder& build = context.build;
  const ValueId dy = context.grad_output();
  for (int i = 0; context.has_input(i); ++i) {
    if (!context.wants(i)) continue;
    const ValueId chosen = build.op("Equal", {context.input(i), context.output(0)});
    const ValueId zero = build.scalar(0, build.dtype(dy));
    set_summed(context, i, build.op("Where", {chosen, dy, zero}));
  }
}

void gradient_where(GradientContext& context) {
  GraphBuilder& build = context.build;
  const ValueId dy = context.grad_output(), zero = build.scalar(0, build.dtype(dy));
  const ValueId condition = context.input(0);
  if (context.wants(1)) set_summed(context, 1, build.op("Where", {condition, dy, zero}));
  if (context.wants(2)) set_summed(context, 2, build.op("Where", {condition, zero, dy}));
}

void gradient_cast(GradientContext& context) {
  const DType from = context.build.dtype(context.input(0));
  if (!context.wants(0) || !is_float(from)) return;
  context.set(0, context.build.op("Cast", {context.grad_output()},
                                  {{"to", static_cast<std::int64_t>(from)}}));
}

void gradient_identity(GradientContext& context) {
  if (context.wants(0)) context.set(0, context.grad_output());
}

std::vector<TensorType> infer_broadcast_float(const NodeView& view) {
  require_float(view, 0);
  return infer_broadcast(view);
}

std::vector<TensorType> infer_compare(const NodeView& view) {
  if (view.input_dtype(0) != DType::kBool) return {{DType::kBool, infer_broadcast(view)[0].shape}};
  require_same_dtype(view, 1);
  return {{DType::kBool, broadcast_shapes(view.input(0), view.input(1), view.where())}};
}

std::vector<TensorType> infer_number(const NodeView& view) {
  const DType dtype = view.input_dtype(0);
  if (!is_float(dtype) && !is_integer(dtype)) {
    fail_input(view.where(), "does not take {}", dtype_name(dtype));
  }
  return infer_same(view);
}

std::vector<TensorType> infer_where(const NodeView& view) {
  if (view.input_dtype(0) != DType::kBool) {
    fail_input(view.where(), "input 0 must be bool, not {}", dtype_name(view.input_dtype(0)));
  }
  if (view.input_dtype(1) != view.input_dtype(2)) {
    fail_input(view.where(), "inputs 1 and 2 differ in type: {} and {}",
               dtype_name(view.input_dtype(1)), dtype_name(view.input_dtype(2)));
  }
  const Shape shape = broadcast_shapes(view.input(1), view.input(2), view.where());
  return {{view.input_dtype(1), broadcast_shapes(view.input(0), shape, view.where())}};
}

std::vector<TensorType> infer_cast(const NodeView& view) {
  const std::int64_t to = view.attributes().get_int("to");
  const auto known = [](DType dtype) {
    return is_float(dtype) || is_integer(dtype) || dtype == DType::kBool;
  };
  if (to < 0 || to > 22 || !known(static_cast<DType>(to)) || !known(view.input_dtype(0))) {
    fail_input(view.where(), "does not cast {} to data type {}", dtype_name(view.input_dtype(0)),
               to);
  }
  return {{static_cast<DType>(to), view.input(0)}};
}

constexpr AttributeDef kCastAttributes[] = {{"to", AttributeType::kInt, true}};

OpDef binary(std::string_view name, std::string_view doc, void (*gradient)(GradientContext&)) {
  return {.name = name,
          .doc = doc,
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = infer_broadcast,
          .carry = carry_broadcast,
          .gradient = gradient,
          .flops = flops_per_element,
          .elementwise = true,
          .in_place_inputs = 0b11};
}

OpDef commutative(OpDef row, std::uint32_t parameter_inputs) {
  row.commutative = true;
  row.parameter_inputs = parameter_inputs;
  return row;
}

OpDef compare(std::string_view name, std::string_view doc) {
  OpDef row = binary(name, doc, nullptr);
  row.infer = infer_compare;
  row.in_place_inputs = 0;
  return row;
}

OpDef unary(std::string_view name, std::string_view doc, void (*gradient)(GradientContext&),
            std::vector<TensorType> (*infer)(const NodeView&) = infer_same_float) {
  return {.name = name,
          .doc = doc,
          .infer = infer,
          .carry = carry_same,
          .gradient = gradient,
          .flops = flops_per_element,
          .elementwise = true,
          .in_place_inputs = 0b1};
}

OpDef variadic(std::string_view name, std::string_view doc, void (*gradient)(GradientContext&)) {
  OpDef row = binary(name, doc, gradient);
  row.min_inputs = 1;
  row.max_inputs = -1;
  row.commutative = true;
  row.in_place_inputs = 0b1;
  return row;
}

OpDef power() {
  OpDef row = binary("Pow", "y = a^b, broadcast", gradient_pow);
  row.infer = infer_broadcast_float;
  return row;
}

const OpDef kOps[] = {
    commutative(binary("Add", "y = a + b, broadcast", gradient_add), 0b11),
    binary("Sub", "y = a - b, broadcast", gradient_sub),
    commutative(binary("Mul", "y = a b, broadcast", gradient_mul), 0),
    binary("Div", "y = a / b, broadcast; of integers towards zero", gradient_div),
    power(),
    unary("Sqrt", "y = sqrt(x)", gradient_sqrt),
    unary("Exp", "y = e^x", gradient_exp),
    unary("Log", "y = ln(x)", gradient_log),
    unary("Neg", "y = -x", gradient_neg, infer_number),
    unary("Abs", "y = |x|", gradient_abs, infer_number),
    unary("Reciprocal", "y = 1 / x", gradient_reciprocal),
    variadic("Sum", "the sum of all inputs, broadcast", gradient_add),
    variadic("Max", "the largest of all inputs, broadcast", gradient_extreme),
    variadic("Min", "the least of all inputs, broadcast", gradient_extreme),
    compare("Greater", "a > b, broadcast"),
    compare("Less", "a < b, broadcast"),
    compare("Equal", "a == b, broadcast"),
    {.name = "Where",
     .doc = "a where the condition holds, b elsewhere; broadcast",
     .min_opset = 9,
     .min_inputs = 3,
     .max_inputs = 3,
     .infer = infer_where,
     .carry = carry_broadcast,
     .gradient = gradient_where,
     .flops = flops_per_element,
     .elementwise = true,
     .in_place_inputs = 0b110},
    {.name = "Cast",
     .doc = "the same numbers in another type",
     .attributes = kCastAttributes,
     .infer = infer_cast,
     .carry = carry_same,
     .gradient = gradient_cast,
     .flops = flops_per_element,
     .elementwise = true},
    {.name = "Identity",
     .doc = "y = x",
     .infer = infer_same,
     .carry = carry_same,
     .gradient = gradient_identity,
     .elementwise = true,
     .view = true},
};

}  // namespace

std::span<const OpDef> elementwise_ops() { return kOps; }

}  // namespace batchwise

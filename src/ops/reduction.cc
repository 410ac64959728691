// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "ops/axes.h"
#include "ops/builder.h"
#include "ops/families.h"
#include "ops/row_rules.h"

namespace batchwise {
namespace {

bool keeps_dims(const NodeView& view) { return view.attributes().get_int("keepdims", 1) != 0; }

std::vector<TensorType> infer_reduce(const NodeView& view) {
  const DType dtype = view.input_dtype(0);
  if (!is_float(dtype) && !is_integer(dtype)) {
    fail_input(view.where(), "does not take {}", dtype_name(dtype));
  }
  return {{dtype, reduced_shape(view.input(0), reduced_axes(view), keeps_dims(view))}};
}

std::vector<TensorType> infer_reduce_mean(const NodeView& view) {
  require_float(view, 0);
  return infer_reduce(view);
}

std::vector<TensorType> infer_reduce_max(const NodeView& view) {
  const std::vector<bool> reduced = reduced_axes(view);
  for (int axis = 0; axis < view.input(0).rank(); ++axis) {
    if (reduced[static_cast<std::size_t>(axis)] && view.input(0)[axis] == 0) {
      fail_input(view.where(), "axis {} of {} is empty and has no maximum", axis,
                 view.input(0).to_string());
    }
  }
  return infer_reduce(view);
}

BatchCarry carry_reduced(const NodeView& view, const std::vector<bool>& reduced, bool keepdims,
                         BatchAxis batch) {
  if (reduced[static_cast<std::size_t>(batch.axis)]) {
    return carry_mix(view, fmt::format("it reduces axis {}, which counts samples", batch.axis));
  }
  int removed = 0;
  for (int axis = 0; axis < batch.axis && !keepdims; ++axis) {
    removed += reduced[static_cast<std::size_t>(axis)] ? 1 : 0;
  }
  batch.axis -= removed;
  return carry_to(view, batch);
}

BatchCarry carry_reduce(const NodeView& view, std::span<const BatchAxis> batch) {
  return carry_reduced(view, reduced_axes(view), keeps_dims(view), batch[0]);
}

// The node's gradient in the shape that its output has with keepdims.
ValueId keep_dims(GradientContext& context, ValueId dy, const std::vector<std::int64_t>& axes) {
  if (context.node().attributes.get_int("keepdims", 1) != 0 || axes.empty()) return dy;
  return context.build.op("Unsqueeze", {dy, context.build.int64s(axes)});
}

std::vector<std::int64_t> reduced_axis_list(GradientContext& context) {
  const std::vector<bool> reduced = reduced_axes({context.build.graph(), context.node()});
  std::vector<std::int64_t> axes;
  for (std::size_t axis = 0; axis < reduced.size(); ++axis) {
    if (reduced[axis]) axes.push_back(static_cast<std::int64_t>(axis));
  }
  return axes;
}

void gradient_sum(GradientContext& context) {
  if (!context.wants(0)) return;
  const Shape shape = context.shape(context.input(0));
  const ValueId dy = keep_dims(context, context.grad_output(), reduced_axis_list(context));
  context.set(0, context.build.op("Expand", {dy, context.build.int64s(shape.dims())}));
}

void gradient_mean(GradientContext& context) {
  if (!context.wants(0)) return;
  GraphBuilder& build = context.build;
  const Shape shape = context.shape(context.input(0));
  const std::vector<std::int64_t> axes = reduced_axis_list(context);
  double count = 1;
  for (std::int64_t axis : axes) count *= static_cast<double>(shape[static_cast<int>(axis)]);
  const ValueId dy = keep_dims(context, context.grad_output(), axes);
  const ValueId share = build.op("Div", {dy, build.scalar(count, build.dtype(dy))});
  context.set(0, build.op("Expand", {share, build.int64s(shape.dims())}));
}

void gradient_max(GradientContext& context) {
  if (!context.wants(0)) return;
  const std::vector<std::int64_t> axes = reduced_axis_list(context);
  const ValueId dy = keep_dims(context, context.grad_output(), axes);
  const ValueId y = keep_dims(context, context.output(0), axes);
  context.set(0, context.build.op("ReduceMaxGrad", {dy, context.input(0), y}, {{"axes", axes}}));
}

double flops_reduce(const NodeView& view) { return static_cast<double>(view.input(0).elements()); }

std::vector<bool> axes_of_max_grad(const NodeView& view) {
  const int rank = view.input(1).rank();
  std::vector<bool> reduced(static_cast<std::size_t>(rank), false);
  for (int axis : resolve_axes(view, view.attributes().get_ints("axes"), rank)) {
    reduced[static_cast<std::size_t>(axis)] = true;
  }
  return reduced;
}

// dy and y have the reduced axes, of size 1.
std::vector<TensorType> infer_max_grad(const NodeView& view) {
  require_one_float_type(view, 1, 3);
  const Shape kept = reduced_shape(view.input(1), axes_of_max_grad(view), true);
  require_shape(view, 0, kept, "dy");
  require_shape(view, 2, kept, "y");
  return {type_of(view, 1)};
}

BatchCarry carry_max_grad(const NodeView& view, std::span<const BatchAxis> batch) {
  BatchCarry carry = carry_same(view, batch);
  if (!carry.mixes.empty()) return carry;
  return carry_reduced(view, axes_of_max_grad(view), true, carry.outputs[0]);
}

// The shape must broadcast to the input's.
std::vector<TensorType> infer_sum_to(const NodeView& view) {
  require_float(view, 0);
  const Shape shape(view.attributes().get_ints("shape"));
  const Shape& from = view.input(0);
  bool fits = shape.rank() <= from.rank();
  for (int i = 1; fits && i <= shape.rank(); ++i) fits = shape[-i] == 1 || shape[-i] == from[-i];
  if (!fits) {
    fail_input(view.where(), "{} is not the sum of a broadcast {}", from.to_string(),
               shape.to_string());
  }
  if (view.has_input(1)) require_shape(view, 1, shape, "the accumulator");
  return {{view.input_dtype(0), shape}};
}

BatchCarry carry_sum_to(const NodeView& view, std::span<const BatchAxis> batch) {
  BatchAxis axis = batch[0];
  const Shape& shape = view.output(0);
  axis.axis -= view.input(0).rank() - shape.rank();
  if (axis.axis < 0 || (shape[axis.axis] == 1 && axis.block == 1)) {
    return carry_mix(view, "it sums over samples");
  }
  if (shape[axis.axis] != view.input(0)[batch[0].axis]) {
    return carry_mix(view, "it sums over samples");
  }
  return carry_to(view, axis);
}

constexpr AttributeDef kReduceAttributes[] = {{"keepdims", AttributeType::kInt},
                                              {"noop_with_empty_axes", AttributeType::kInt}};
constexpr AttributeDef kAxesAttribute[] = {{"axes", AttributeType::kInts, true}};
constexpr AttributeDef kShapeAttribute[] = {{"shape", AttributeType::kInts, true}};

OpDef reduce(std::string_view name, std::string_view doc,
             std::vector<TensorType> (*infer)(const NodeView&),
             void (*gradient)(GradientContext&)) {
  return {.name = name,
          .doc = doc,
          .min_inputs = 1,
          .max_inputs = 2,
          .attributes = kReduceAttributes,
          .infer = infer,
          .carry = carry_reduce,
          .gradient = gradient,
          .flops = flops_reduce};
}

const OpDef kOps[] = {
    reduce("ReduceSum", "the sum along some axes", infer_reduce, gradient_sum),
    reduce("ReduceMean", "the mean along some axes", infer_reduce_mean, gradient_mean),
    reduce("ReduceMax", "the largest along some axes", infer_reduce_max, gradient_max),
    {.name = "ReduceMaxGrad",
     .doc = "dx of ReduceMax: dy at the first element that equals the maximum",
     .min_opset = 0,
     .min_inputs = 3,
     .max_inputs = 3,
     .attributes = kAxesAttribute,
     .infer = infer_max_grad,
     .carry = carry_max_grad,
     .flops = flops_per_element},
    {.name = "SumTo",
     .doc = "the reverse of broadcasting: sums x down to a shape, continuing from an accumulator",
     .min_opset = 0,
     .min_inputs = 1,
     .max_inputs = 2,
     .attributes = kShapeAttribute,
     .infer = infer_sum_to,
     .carry = carry_sum_to,
     .flops = flops_reduce,
     .accumulates = true},
};

}  // namespace

std::span<const OpDef> reduction_ops() { return kOps; }

}  // namespace batchwise

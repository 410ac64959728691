// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "base/check.h"
#include "ops/axes.h"
#include "ops/builder.h"
#include "ops/families.h"
#include "ops/row_rules.h"

// Ops that take parts of tensors, or put them together.
namespace batchwise {
namespace {

std::vector<TensorType> infer_concat(const NodeView& view) {
  Shape shape = view.input(0);
  const int axis = view.axis("axis", 0, shape.rank());
  if (shape.rank() == 0) fail_input(view.where(), "cannot join scalars");
  for (int i = 1; i < view.num_inputs(); ++i) {
    require_same_dtype(view, i);
    Shape expected = shape;
    if (view.input(i).rank() == shape.rank()) expected[axis] = view.input(i)[axis];
    require_shape(view, i, expected, fmt::format("input {}", i));
    if (__builtin_add_overflow(shape[axis], view.input(i)[axis], &shape[axis])) {
      fail_input(view.where(), "axis {} becomes too long", axis);
    }
  }
  return {{view.input_dtype(0), shape}};
}

BatchCarry carry_concat(const NodeView& view, std::span<const BatchAxis> batch) {
  BatchCarry carry = carry_along(view, batch, ~0u, view.output(0).rank());
  if (!carry.mixes.empty()) return carry;
  const int axis = view.axis("axis", 0, view.input(0).rank());
  if (view.num_inputs() > 1 && axis == carry.outputs[0].axis) {
    return carry_mix(view, fmt::format("it joins along axis {}, which counts samples", axis));
  }
  return carry;
}

void gradient_concat(GradientContext& context) {
  GraphBuilder& build = context.build;
  const NodeView view(build.graph(), context.node());
  const std::int64_t axis = view.axis("axis", 0, view.input(0).rank());
  const int inputs = view.num_inputs();
  std::vector<std::int64_t> sizes;
  for (int i = 0; i < inputs; ++i) sizes.push_back(view.input(i)[static_cast<int>(axis)]);
  const std::vector<ValueId> parts =
      build.ops("Split", {context.grad_output(), build.int64s(sizes)}, {{"axis", axis}}, inputs);
  for (int i = 0; i < inputs; ++i) {
    if (context.wants(i)) context.set(i, parts[static_cast<std::size_t>(i)]);
  }
}

std::vector<TensorType> infer_split(const NodeView& view) {
  require_rank_at_least(view, 0, 1);
  const int axis = view.axis("axis", 0, view.input(0).rank());
  std::vector<TensorType> types;
  for (std::int64_t size : split_sizes(view, axis)) {
    types.push_back(type_of(view, 0));
    types.back().shape[axis] = size;
  }
  return types;
}

BatchCarry carry_split(const NodeView& view, std::span<const BatchAxis> batch) {
  const int axis = view.axis("axis", 0, view.input(0).rank());
  if (axis == batch[0].axis) {
    return carry_mix(view, fmt::format("it cuts axis {}, which counts samples", axis));
  }
  return carry_to(view, batch[0]);
}

// Outputs on which nothing depends have gradient 0.
void gradient_split(GradientContext& context) {
  if (!context.wants(0)) return;
  GraphBuilder& build = context.build;
  std::vector<ValueId> parts;
  for (std::size_t o = 0; o < context.node().outputs.size(); ++o) {
    ValueId part = context.grad_output(static_cast<int>(o));
    if (part == kNoValue) {
      const TensorType& type = build.graph().type(context.output(static_cast<int>(o)));
      const double zero = 0;  // the bytes of 0 in every type
      part = build.graph().add_constant("zeros", Tensor::splat(type.dtype, type.shape, &zero));
    }
    parts.push_back(part);
  }
  const NodeView view(build.graph(), context.node());
  const std::int64_t axis = view.axis("axis", 0, view.input(0).rank());
  context.set(0, build.op("Concat", parts, {{"axis", axis}}));
}

std::vector<TensorType> infer_slice(const NodeView& view) {
  std::vector<std::int64_t> dims;
  for (const SliceRange& range : slice_ranges(view)) dims.push_back(range.count);
  return {{view.input_dtype(0), Shape(std::move(dims))}};
}

// Does the slice take the axis as it is, however long it may be?
bool takes_whole_axis(const NodeView& view, int axis) {
  const std::vector<std::int64_t> starts = view.constant_int64s(1), ends = view.constant_int64s(2);
  std::vector<std::int64_t> axes, steps;
  if (view.has_input(3)) axes = view.constant_int64s(3);
  if (view.has_input(4)) steps = view.constant_int64s(4);
  const int rank = view.input(0).rank();
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::int64_t named = axes.empty() ? static_cast<std::int64_t>(i) : axes[i];
    if ((named < 0 ? named + rank : named) != axis) continue;
    return starts[i] == 0 && (steps.empty() || steps[i] == 1) &&
           ends[i] >= std::numeric_limits<std::int32_t>::max();
  }
  return true;
}

BatchCarry carry_slice(const NodeView& view, std::span<const BatchAxis> batch) {
  if (!takes_whole_axis(view, batch[0].axis)) {
    return carry_mix(view, fmt::format("it slices axis {}, which counts samples", batch[0].axis));
  }
  return carry_to(view, batch[0]);
}

void gradient_slice(GradientContext& context) {
  if (!context.wants(0)) return;
  const NodeView view(context.build.graph(), context.node());
  std::vector<std::int64_t> starts, axes, steps;
  for (const SliceRange& range : slice_ranges(view)) {
    axes.push_back(static_cast<std::int64_t>(axes.size()));
    starts.push_back(range.start);
    steps.push_back(range.step);
  }
  const std::vector<std::int64_t> shape = view.input(0).dims();
  context.set(0, context.build.op(
                     "SliceGrad", {context.grad_output()},
                     {{"starts", starts}, {"axes", axes}, {"steps", steps}, {"shape", shape}}));
}

std::vector<TensorType> infer_slice_grad(const NodeView& view) {
  const std::vector<SliceRange> ranges = slice_grad_ranges(view);
  const Shape shape(view.attributes().get_ints("shape"));
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const SliceRange& range = ranges[static_cast<std::size_t>(axis)];
    const std::int64_t last = range.start + (range.count - 1) * range.step;
    if (range.count > 0 &&
        (range.start < 0 || range.start >= shape[axis] || last < 0 || last >= shape[axis])) {
      fail_input(view.where(), "axis {} of {} does not fit into {}", axis,
                 view.input(0).to_string(), shape.to_string());
    }
  }
  return {{view.input_dtype(0), shape}};
}

BatchCarry carry_slice_grad(const NodeView& view, std::span<const BatchAxis> batch) {
  const int axis = batch[0].axis;
  if (view.input(0)[axis] != view.output(0)[axis]) {
    return carry_mix(view, fmt::format("it slices axis {}, which counts samples", axis));
  }
  return carry_to(view, batch[0]);
}

std::vector<TensorType> infer_gather(const NodeView& view) {
  require_rank_at_least(view, 0, 1);
  if (!is_integer(view.input_dtype(1))) {
    fail_input(view.where(), "indices must be integers, not {}", dtype_name(view.input_dtype(1)));
  }
  const Shape& data = view.input(0);
  const int axis = view.axis("axis", 0, data.rank());
  std::vector<std::int64_t> dims = data.dims();
  const std::vector<std::int64_t>& inserted = view.input(1).dims();
  dims.erase(dims.begin() + axis);
  dims.insert(dims.begin() + axis, inserted.begin(), inserted.end());
  return {{view.input_dtype(0), Shape(std::move(dims))}};
}

BatchCarry carry_gather(const NodeView& view, std::span<const BatchAxis> batch) {
  const int axis = view.axis("axis", 0, view.input(0).rank());
  if (batch[0].axis >= 0 && batch[1].axis >= 0) {
    return carry_mix(view, "its indices may name other samples");
  }
  if (batch[1].axis >= 0) return carry_to(view, {axis + batch[1].axis, batch[1].block});
  if (batch[0].axis == axis) {
    return carry_mix(view, fmt::format("it picks along axis {}, which counts samples", axis));
  }
  BatchAxis to = batch[0];
  if (to.axis > axis) to.axis += view.input(1).rank() - 1;
  return carry_to(view, to);
}

void gradient_gather(GradientContext& context) {
  if (!context.wants(0)) return;
  const Shape shape = context.shape(context.input(0));
  const std::int64_t axis = context.node().attributes.get_int("axis", 0);
  context.set(0, context.build.op("GatherGrad", {context.grad_output(), context.input(1)},
                                  {{"axis", axis}, {"shape", shape.dims()}}));
}

std::vector<TensorType> infer_gather_grad(const NodeView& view) {
  require_float(view, 0);
  const Shape shape(view.attributes().get_ints("shape"));
  const int axis = view.axis("axis", 0, shape.rank());
  std::vector<std::int64_t> dims = shape.dims();
  const std::vector<std::int64_t>& inserted = view.input(1).dims();
  dims.erase(dims.begin() + axis);
  dims.insert(dims.begin() + axis, inserted.begin(), inserted.end());
  require_shape(view, 0, Shape(std::move(dims)), "dy");
  if (view.has_input(2)) require_shape(view, 2, shape, "the accumulator");
  return {{view.input_dtype(0), shape}};
}

constexpr AttributeDef kAxis[] = {{"axis", AttributeType::kInt}};
constexpr AttributeDef kRequiredAxis[] = {{"axis", AttributeType::kInt, true}};
constexpr AttributeDef kSplitAttributes[] = {{"axis", AttributeType::kInt},
                                             {"num_outputs", AttributeType::kInt}};
constexpr AttributeDef kSliceGradAttributes[] = {{"starts", AttributeType::kInts, true},
                                                 {"axes", AttributeType::kInts, true},
                                                 {"steps", AttributeType::kInts, true},
                                                 {"shape", AttributeType::kInts, true}};
constexpr AttributeDef kGatherGradAttributes[] = {{"axis", AttributeType::kInt},
                                                  {"shape", AttributeType::kInts, true}};
constexpr int kMaxSplitOutputs = 1 << 16;

const OpDef kOps[] = {
    {.name = "Concat",
     .doc = "the inputs one after the other along an axis",
     .min_inputs = 1,
     .max_inputs = -1,
     .attributes = kRequiredAxis,
     .infer = infer_concat,
     .carry = carry_concat,
     .gradient = gradient_concat},
    {.name = "Split",
     .doc = "cuts an axis into pieces",
     .min_opset = 2,
     .min_inputs = 1,
     .max_inputs = 2,
     .num_outputs = kMaxSplitOutputs,
     .attributes = kSplitAttributes,
     .infer = infer_split,
     .carry = carry_split,
     .gradient = gradient_split},
    {.name = "Slice",
     .doc = "a range with a step, along some axes",
     .min_inputs = 3,
     .max_inputs = 5,
     .infer = infer_slice,
     .carry = carry_slice,
     .gradient = gradient_slice},
    {.name = "SliceGrad",
     .doc = "dx of Slice: dy at the places of the slice, 0 elsewhere",
     .min_opset = 0,
     .attributes = kSliceGradAttributes,
     .infer = infer_slice_grad,
     .carry = carry_slice_grad},
    {.name = "Gather",
     .doc = "entries of an axis by their indices; an embedding",
     .min_inputs = 2,
     .max_inputs = 2,
     .attributes = kAxis,
     .infer = infer_gather,
     .carry = carry_gather,
     .gradient = gradient_gather,
     .parameter_inputs = 0b1},
    {.name = "GatherGrad",
     .doc = "ddata of Gather: dy added at its indices, continuing from an accumulator",
     .min_opset = 0,
     .min_inputs = 2,
     .max_inputs = 3,
     .attributes = kGatherGradAttributes,
     .infer = infer_gather_grad,
     .carry = carry_sums_samples,
     .flops = [](const NodeView& view) { return static_cast<double>(view.input(0).elements()); },
     .accumulates = true},
};

}  // namespace

std::span<const OpDef> indexing_ops() { return kOps; }

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/check.h"
#include "ops/axes.h"
#include "ops/families.h"
#include "ops/row_rules.h"

// Ops that keep elements in their order and change the shape alone, and Transpose and Expand.
namespace batchwise {
namespace {

// dx = dy in the shape of x.
void gradient_reshape(GradientContext& context) {
  if (!context.wants(0)) return;
  const Shape shape = context.shape(context.input(0));
  const ValueId dims = context.build.int64s(shape.dims());
  context.set(0, context.build.op("Reshape", {context.grad_output(), dims}, {{"allowzero", 1}}));
}

bool zero_copies(const NodeView& view) { return view.attributes().get_int("allowzero", 0) == 0; }

Shape resolve_reshape(const NodeView& view) {
  const Shape& from = view.input(0);
  std::vector<std::int64_t> dims = view.constant_int64s(1);
  const std::string wanted = Shape(dims).to_string();
  int open = -1;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && zero_copies(view)) {
      if (static_cast<int>(i) >= from.rank()) {
        fail_input(view.where(), "shape {} copies axis {} of {}", wanted, i, from.to_string());
      }
      dims[i] = from[static_cast<int>(i)];
    } else if (dims[i] == -1 && open < 0) {
      open = static_cast<int>(i);
      dims[i] = 1;
    } else if (dims[i] < 0) {
      fail_input(view.where(), "shape {} has more than one -1, or less than -1", wanted);
    }
  }
  Shape shape(std::move(dims));
  checked_bytes(shape, 1, view.where());
  const std::int64_t known = shape.elements(), elements = from.elements();
  if (open >= 0 && known > 0 && elements % known == 0) shape[open] = elements / known;
  if (shape.elements() != elements || (open >= 0 && known == 0)) {
    fail_input(view.where(), "{} of {} elements does not take shape {}", from.to_string(), elements,
               wanted);
  }
  return shape;
}

std::vector<TensorType> infer_reshape(const NodeView& view) {
  return {{view.input_dtype(0), resolve_reshape(view)}};
}

// Elements keep their order, so a sample's stay together where the output has an axis with the same
// product of dimensions before it. That axis must follow the batch: be open (-1), or copy it (0).
BatchCarry carry_reshape(const NodeView& view, std::span<const BatchAxis> batch) {
  const BatchAxis from = batch[0];
  const std::vector<std::int64_t> wanted = view.constant_int64s(1);
  const Shape& to = view.output(0);
  const std::int64_t outer = view.input(0).elements(0, from.axis);
  const std::int64_t samples = view.input(0)[from.axis] / from.block;
  const auto copies_batch = [&](int axis) {
    return zero_copies(view) && wanted[static_cast<std::size_t>(axis)] == 0 && axis == from.axis;
  };
  for (int axis = 0; axis < to.rank(); ++axis) {
    if (to.elements(0, axis) != outer) continue;
    if (copies_batch(axis)) return carry_to(view, from);
    if (wanted[static_cast<std::size_t>(axis)] != -1) continue;
    if (from.axis < to.rank() && copies_batch(from.axis)) break;
    if (samples == 0 || to[axis] % samples != 0) break;
    return carry_to(view, {axis, to[axis] / samples});
  }
  return carry_mix(view,
                   fmt::format("its shape {} does not follow the batch, axis {} of {}",
                               Shape(wanted).to_string(), from.axis, view.input(0).to_string()));
}

// Where the batch is the leading axis, each sample's elements lie together: the leading dimension
// of the result may follow the batch whatever it is, and all others are what they are for a batch
// of 1.
std::optional<Tensor> free_reshape(const NodeView& view, std::span<const BatchAxis> batch,
                                   int input) {
  if (input != 1 || batch[0].axis != 0) return std::nullopt;
  if (view.input(0)[0] != batch[0].block || view.output(0).rank() == 0) return std::nullopt;
  std::vector<std::int64_t> dims = view.constant_int64s(1);
  if (dims[0] == -1 || (dims[0] == 0 && zero_copies(view))) return std::nullopt;
  if (dims[0] == 1 && batch[0].block == 1 && zero_copies(view)) {
    dims[0] = 0;
  } else {
    if (view.output(0).elements() == 0) return std::nullopt;
    dims = view.output(0).dims();
    dims[0] = -1;
  }
  return Tensor::from(Shape{static_cast<std::int64_t>(dims.size())}, dims);
}

std::vector<TensorType> infer_flatten(const NodeView& view) {
  const Shape& shape = view.input(0);
  const std::int64_t axis = view.attributes().get_int("axis", 1);
  if (axis < -shape.rank() || axis > shape.rank()) {
    fail_input(view.where(), "axis {} is out of range for rank {}", axis, shape.rank());
  }
  const int cut = static_cast<int>(axis < 0 ? axis + shape.rank() : axis);
  return {{view.input_dtype(0), Shape{shape.elements(0, cut), shape.elements(cut, shape.rank())}}};
}

BatchCarry carry_flatten(const NodeView& view, std::span<const BatchAxis> batch) {
  const Shape& shape = view.input(0);
  const std::int64_t axis = view.attributes().get_int("axis", 1);
  const int cut = static_cast<int>(axis < 0 ? axis + shape.rank() : axis);
  const bool leads = batch[0].axis < cut;
  if (shape.elements(leads ? 0 : cut, batch[0].axis) != 1) {
    return carry_mix(view, fmt::format("it flattens axis {}, which counts samples, behind others",
                                       batch[0].axis));
  }
  const std::int64_t inner = shape.elements(batch[0].axis + 1, leads ? cut : shape.rank());
  return carry_to(view, {leads ? 0 : 1, batch[0].block * inner});
}

std::vector<int> axes_of_squeeze(const NodeView& view) {
  const Shape& shape = view.input(0);
  if (view.has_input(1)) return resolve_axes(view, view.constant_int64s(1), shape.rank());
  std::vector<int> axes;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] == 1) axes.push_back(axis);
  }
  return axes;
}

std::vector<TensorType> infer_squeeze(const NodeView& view) {
  const Shape& shape = view.input(0);
  std::vector<bool> dropped(static_cast<std::size_t>(shape.rank()), false);
  for (int axis : axes_of_squeeze(view)) {
    if (shape[axis] != 1) {
      fail_input(view.where(), "axis {} of {} is not of size 1", axis, shape.to_string());
    }
    dropped[static_cast<std::size_t>(axis)] = true;
  }
  return {{view.input_dtype(0), reduced_shape(shape, dropped, false)}};
}

BatchCarry carry_squeeze(const NodeView& view, std::span<const BatchAxis> batch) {
  BatchAxis axis = batch[0];
  if (!view.has_input(1)) return carry_mix(view, "it names no axes, and the batch may be 1");
  for (int dropped : axes_of_squeeze(view)) {
    if (dropped == batch[0].axis) {
      return carry_mix(view, fmt::format("it removes axis {}, which counts samples", dropped));
    }
    if (dropped < batch[0].axis) --axis.axis;
  }
  return carry_to(view, axis);
}

std::vector<int> axes_of_unsqueeze(const NodeView& view) {
  const std::vector<std::int64_t> axes = view.constant_int64s(1);
  return resolve_axes(view, axes, view.input(0).rank() + static_cast<int>(axes.size()));
}

std::vector<TensorType> infer_unsqueeze(const NodeView& view) {
  std::vector<int> axes = axes_of_unsqueeze(view);
  std::sort(axes.begin(), axes.end());
  std::vector<std::int64_t> dims = view.input(0).dims();
  for (int axis : axes) dims.insert(dims.begin() + axis, 1);
  return {{view.input_dtype(0), Shape(std::move(dims))}};
}

BatchCarry carry_unsqueeze(const NodeView& view, std::span<const BatchAxis> batch) {
  std::vector<int> axes = axes_of_unsqueeze(view);
  std::sort(axes.begin(), axes.end());
  BatchAxis axis = batch[0];
  for (int added : axes) {
    if (added <= axis.axis) ++axis.axis;
  }
  return carry_to(view, axis);
}

// perm, by default the axes reversed.
std::vector<int> permutation(const NodeView& view) {
  const int rank = view.input(0).rank();
  std::vector<std::int64_t> perm = view.attributes().get_ints("perm");
  if (!view.attributes().has("perm")) {
    for (int axis = rank; axis-- > 0;) perm.push_back(axis);
  }
  if (static_cast<int>(perm.size()) != rank) {
    fail_input(view.where(), "perm [{}] does not fit rank {}", fmt::join(perm, ", "), rank);
  }
  return resolve_axes(view, perm, rank);
}

std::vector<TensorType> infer_transpose(const NodeView& view) {
  std::vector<std::int64_t> dims;
  for (int axis : permutation(view)) dims.push_back(view.input(0)[axis]);
  return {{view.input_dtype(0), Shape(std::move(dims))}};
}

BatchCarry carry_transpose(const NodeView& view, std::span<const BatchAxis> batch) {
  const std::vector<int> perm = permutation(view);
  const auto it = std::find(perm.begin(), perm.end(), batch[0].axis);
  return carry_to(view, {static_cast<int>(it - perm.begin()), batch[0].block});
}

void gradient_transpose(GradientContext& context) {
  if (!context.wants(0)) return;
  const std::vector<int> perm = permutation({context.build.graph(), context.node()});
  std::vector<std::int64_t> inverse(perm.size());
  for (std::size_t i = 0; i < perm.size(); ++i) {
    inverse[static_cast<std::size_t>(perm[i])] = static_cast<std::int64_t>(i);
  }
  context.set(0, context.build.op("Transpose", {context.grad_output()}, {{"perm", inverse}}));
}

std::vector<TensorType> infer_expand(const NodeView& view) {
  const Shape wanted(view.constant_int64s(1));
  checked_bytes(wanted, 1, view.where());
  return {{view.input_dtype(0), broadcast_shapes(view.input(0), wanted, view.where())}};
}

BatchCarry carry_expand(const NodeView& view, std::span<const BatchAxis> batch) {
  const std::vector<std::int64_t> wanted = view.constant_int64s(1);
  const int rank = view.output(0).rank();
  const int axis = batch[0].axis + rank - view.input(0).rank();
  const int own = axis - (rank - static_cast<int>(wanted.size()));
  if (own >= 0 && wanted[static_cast<std::size_t>(own)] != 1) {
    return carry_mix(view, fmt::format("its shape {} fixes axis {}, which counts samples",
                                       Shape(wanted).to_string(), axis));
  }
  return carry_to(view, {axis, batch[0].block});
}

// A 1 leaves the batch as it is.
std::optional<Tensor> free_expand(const NodeView& view, std::span<const BatchAxis> batch,
                                  int input) {
  if (input != 1 || view.constant(1) == nullptr || batch[0].axis < 0) return std::nullopt;
  std::vector<std::int64_t> wanted = view.constant_int64s(1);
  const int axis = batch[0].axis - view.input(0).rank() + static_cast<int>(wanted.size());
  if (axis < 0 || wanted[static_cast<std::size_t>(axis)] == 1) return std::nullopt;
  if (wanted[static_cast<std::size_t>(axis)] != view.input(0)[batch[0].axis]) return std::nullopt;
  wanted[static_cast<std::size_t>(axis)] = 1;
  return Tensor::from(Shape{static_cast<std::int64_t>(wanted.size())}, wanted);
}

void gradient_expand(GradientContext& context) {
  if (!context.wants(0)) return;
  context.set(0, sum_to_input(context, context.grad_output(), 0));
}

constexpr AttributeDef kAllowZero[] = {{"allowzero", AttributeType::kInt}};
constexpr AttributeDef kAxis[] = {{"axis", AttributeType::kInt}};
constexpr AttributeDef kPerm[] = {{"perm", AttributeType::kInts}};

const OpDef kOps[] = {
    {.name = "Reshape",
     .doc = "the same elements in another shape: 0 copies a dimension, -1 is what remains",
     .min_opset = 5,
     .min_inputs = 2,
     .max_inputs = 2,
     .attributes = kAllowZero,
     .infer = infer_reshape,
     .carry = carry_reshape,
     .gradient = gradient_reshape,
     .free_batch = free_reshape,
     .view = true},
    {.name = "Flatten",
     .doc = "the same elements as a matrix, cut before an axis",
     .attributes = kAxis,
     .infer = infer_flatten,
     .carry = carry_flatten,
     .gradient = gradient_reshape,
     .view = true},
    {.name = "Squeeze",
     .doc = "removes axes of size 1",
     .min_inputs = 1,
     .max_inputs = 2,
     .infer = infer_squeeze,
     .carry = carry_squeeze,
     .gradient = gradient_reshape,
     .view = true},
    {.name = "Unsqueeze",
     .doc = "inserts axes of size 1",
     .min_inputs = 2,
     .max_inputs = 2,
     .infer = infer_unsqueeze,
     .carry = carry_unsqueeze,
     .gradient = gradient_reshape,
     .view = true},
    {.name = "Transpose",
     .doc = "the axes in another order",
     .attributes = kPerm,
     .infer = infer_transpose,
     .carry = carry_transpose,
     .gradient = gradient_transpose},
    {.name = "Expand",
     .doc = "broadcast to a shape",
     .min_opset = 8,
     .min_inputs = 2,
     .max_inputs = 2,
     .infer = infer_expand,
     .carry = carry_expand,
     .gradient = gradient_expand,
     .free_batch = free_expand},
};

}  // namespace

std::span<const OpDef> reshape_ops() { return kOps; }

}  // namespace batchwise

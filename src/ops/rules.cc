// SPDX-License-Identifier: Apache-2.0
#include "ops/rules.h"

#include "base/check.h"

namespace batchwise {

bool is_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

bool is_integer(DType dtype) {
  return dtype == DType::kInt64 || dtype == DType::kInt32 || dtype == DType::kUInt8;
}

void require_float(const NodeView& view, int i) {
  if (view.has_input(i) && !is_float(view.input_dtype(i))) {
    fail_input(view.where(), "input {} must be float32 or float64, not {}", i,
               dtype_name(view.input_dtype(i)));
  }
}

void require_same_dtype(const NodeView& view, int i) {
  if (view.input_dtype(i) != view.input_dtype(0)) {
    fail_input(view.where(), "input {} is {}, but input 0 is {}", i,
               dtype_name(view.input_dtype(i)), dtype_name(view.input_dtype(0)));
  }
}

void require_shape(const NodeView& view, int i, const Shape& shape) {
  if (!(view.input(i) == shape)) {
    fail_input(view.where(), "input {} must have shape {}, not {}", i, shape.to_string(),
               view.input(i).to_string());
  }
}

std::vector<TensorType> infer_same(const NodeView& view) {
  return {{view.input_dtype(0), view.input(0)}};
}

std::vector<TensorType> infer_same_float(const NodeView& view) {
  require_float(view, 0);
  return infer_same(view);
}

std::vector<TensorType> infer_all_same_float(const NodeView& view) {
  require_float(view, 0);
  for (int i = 1; i < view.num_inputs(); ++i) {
    if (!view.has_input(i)) continue;
    require_same_dtype(view, i);
    require_shape(view, i, view.input(0));
  }
  return infer_same(view);
}

std::vector<TensorType> infer_broadcast(const NodeView& view) {
  const DType dtype = view.input_dtype(0);
  if (!is_float(dtype) && !is_integer(dtype)) {
    fail_input(view.where(), "does not take {}", dtype_name(dtype));
  }
  Shape shape = view.input(0);
  for (int i = 1; i < view.num_inputs(); ++i) {
    require_same_dtype(view, i);
    shape = broadcast_shapes(shape, view.input(i), view.where());
  }
  return {{dtype, shape}};
}

BatchCarry carry_to(const NodeView& view, BatchAxis axis) {
  return {std::vector<BatchAxis>(static_cast<std::size_t>(view.num_outputs()), axis), {}};
}

BatchCarry carry_mix(const NodeView& view, std::string reason) {
  BatchCarry carry = carry_to(view, {});
  carry.mixes = std::move(reason);
  return carry;
}

BatchCarry carry_same(const NodeView& view, std::span<const BatchAxis> batch) {
  BatchAxis found;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (batch[i].axis < 0) continue;
    if (found.axis >= 0 && !(found == batch[i])) {
      return carry_mix(
          view, fmt::format("the batch is axis {} of one input and axis {} of input {}", found.axis,
                            batch[i].axis, i));
    }
    found = batch[i];
  }
  return carry_to(view, found);
}

namespace {

// The dimension of input i that meets axis `axis` of an output of rank `rank`; 1 where it has none.
std::int64_t aligned_dimension(const NodeView& view, int i, int axis, int rank) {
  const int own = axis - (rank - view.input(i).rank());
  return own < 0 ? 1 : view.input(i)[own];
}

}  // namespace

BatchCarry carry_broadcast(const NodeView& view, std::span<const BatchAxis> batch) {
  const int rank = view.output(0).rank();
  BatchAxis found;
  for (int i = 0; i < view.num_inputs(); ++i) {
    BatchAxis own = batch[static_cast<std::size_t>(i)];
    if (own.axis < 0) continue;
    own.axis += rank - view.input(i).rank();
    if (found.axis >= 0 && !(found == own)) {
      return carry_mix(view, fmt::format("the batch of one input meets axis {} x {} of input {}",
                                         own.axis, own.block, i));
    }
    found = own;
  }
  for (int i = 0; i < view.num_inputs(); ++i) {
    if (!view.has_input(i) || batch[static_cast<std::size_t>(i)].axis >= 0) continue;
    const std::int64_t dimension = aligned_dimension(view, i, found.axis, rank);
    if (dimension != 1) {
      return carry_mix(view, fmt::format("input {} of shape {} has {} entries along the batch", i,
                                         view.input(i).to_string(), dimension));
    }
  }
  return carry_to(view, found);
}

double flops_per_element(const NodeView& view) {
  return static_cast<double>(view.output(0).elements());
}

}  // namespace batchwise

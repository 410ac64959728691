// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "ops/op.h"

namespace batchwise {

// What rows and kernels must agree on about axes: attributes and constant inputs, resolved against
// the concrete shapes of a node. All throw Error naming the node where values do not fit.

// Axes made non-negative, each at most once.
std::vector<int> resolve_axes(const NodeView& view, const std::vector<std::int64_t>& axes,
                              int rank);
// Of ReduceSum, ReduceMean, ReduceMax (constant input 1, noop_with_empty_axes): for each axis of
// input 0, is it reduced?
std::vector<bool> reduced_axes(const NodeView& view);
// `shape` with reduced axes of size 1, or without them.
Shape reduced_shape(const Shape& shape, const std::vector<bool>& reduced, bool keepdims);

// Along each axis of a Slice's input: elements start, start + step, ... (count of them).
struct SliceRange {
  std::int64_t start = 0, step = 1, count = 0;
};
// Of Slice (constant inputs starts, ends, axes, steps): one range an axis of input 0.
std::vector<SliceRange> slice_ranges(const NodeView& view);
// Of SliceGrad (attributes starts, axes, steps, shape): the places of dy in its output.
std::vector<SliceRange> slice_grad_ranges(const NodeView& view);
// Of Split (attribute axis, constant input 1 or attribute num_outputs): the sizes of its outputs.
std::vector<std::int64_t> split_sizes(const NodeView& view, int axis);

}  // namespace batchwise

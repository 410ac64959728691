// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string>
#include <vector>

#include "ops/op.h"

namespace batchwise {

// Rules that many rows share. They check what they assume of dtypes and throw Error naming the
// node.

bool is_float(DType dtype);
bool is_integer(DType dtype);  // int64, int32, uint8
// Throws Error unless input i, where present, is float32 or float64.
void require_float(const NodeView& view, int i);
// Throws Error unless input i has the dtype of input 0.
void require_same_dtype(const NodeView& view, int i);
// Throws Error unless input i has this shape.
void require_shape(const NodeView& view, int i, const Shape& shape);

// Type rules: output 0 has the type of input 0 ...
std::vector<TensorType> infer_same(const NodeView& view);        // ... of any dtype
std::vector<TensorType> infer_same_float(const NodeView& view);  // ... float
// ... and all inputs are floats of one type (gradients of elementwise ops).
std::vector<TensorType> infer_all_same_float(const NodeView& view);
// All inputs of one number dtype, broadcast.
std::vector<TensorType> infer_broadcast(const NodeView& view);

// Batch rules. carry_same: every output has the batch axis of input 0, whatever the others are;
// requires that inputs after the first are the same for all samples or have the same batch axis.
BatchCarry carry_same(const NodeView& view, std::span<const BatchAxis> batch);
BatchCarry carry_broadcast(const NodeView& view, std::span<const BatchAxis> batch);
// All outputs at `axis`, or, with a reason, a mix.
BatchCarry carry_to(const NodeView& view, BatchAxis axis);
BatchCarry carry_mix(const NodeView& view, std::string reason);

// One flop an element of output 0.
double flops_per_element(const NodeView& view);

}  // namespace batchwise

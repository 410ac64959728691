// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "ops/op.h"

namespace batchwise {

// What rows and kernels of constants must agree on. All throw Error naming the node.

Tensor constant_value(const NodeView& view);  // of Constant
Tensor fill_value(const NodeView& view);      // of ConstantOfShape: a scalar

// The axes [begin, end) that Shape returns.
struct ShapeRange {
  int begin, end;
};
ShapeRange shape_range(const NodeView& view);

}  // namespace batchwise

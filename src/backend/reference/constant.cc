// SPDX-License-Identifier: Apache-2.0
#include "backend/reference/families.h"
#include "ops/constant_value.h"

namespace batchwise::reference {
namespace {

void constant(const ReferenceCall& call) { constant_value(call.view).copy_to(call.outputs[0]); }

void constant_of_shape(const ReferenceCall& call) {
  const Tensor value = fill_value(call.view);
  Tensor::splat(value.dtype(), call.view.output(0), value.data()).copy_to(call.outputs[0]);
}

void shape(const ReferenceCall& call) {
  const ShapeRange range = shape_range(call.view);
  for (int axis = range.begin; axis < range.end; ++axis) {
    call.output<std::int64_t>(0)[axis - range.begin] = call.view.input(0)[axis];
  }
}

constexpr ReferenceRow kRows[] = {
    {"Constant", constant},
    {"ConstantOfShape", constant_of_shape},
    {"Shape", shape, true},
};

}  // namespace

std::span<const ReferenceRow> constant_kernels() { return kRows; }

}  // namespace batchwise::reference

// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "ops/builder.h"
#include "ops/families.h"
#include "ops/rules.h"

namespace batchwise {
namespace {

// The mask of inference keeps everything.
std::vector<TensorType> infer_dropout(const NodeView& view) {
  require_float(view, 0);
  if (view.constant(2) != nullptr && view.constant_int64s(2).at(0) != 0) {
    fail_input(view.where(), "is in training mode; batchwise chooses the mode itself");
  }
  return {{view.input_dtype(0), view.input(0)}, {DType::kBool, view.input(0)}};
}

void gradient_dropout(GradientContext& context) {
  if (context.wants(0)) context.set(0, context.grad_output());
}

std::vector<TensorType> infer_dropout_training(const NodeView& view) {
  const double ratio = view.attributes().get_float("ratio", 0.5);
  if (!(ratio >= 0 && ratio < 1)) fail_input(view.where(), "ratio {} is not in [0, 1)", ratio);
  if (view.attributes().get_int("block", 1) < 1) fail_input(view.where(), "block is less than 1");
  return infer_same_float(view);
}

// The mask is drawn by the sample's place, which is counted along axis 0.
BatchCarry carry_dropout_training(const NodeView& view, std::span<const BatchAxis> batch) {
  if (batch[0].axis != 0 || batch[0].block != view.attributes().get_int("block", 1)) {
    return carry_mix(
        view, fmt::format("it draws a mask by axis 0 in blocks of {}; samples are "
                          "counted by axis {} in blocks of {}",
                          view.attributes().get_int("block", 1), batch[0].axis, batch[0].block));
  }
  return carry_same(view, batch);
}

// The same mask falls on dy.
void gradient_dropout_training(GradientContext& context) {
  if (!context.wants(0)) return;
  context.set(
      0, context.build.op("DropoutTraining", {context.grad_output()}, context.node().attributes));
}

constexpr AttributeDef kTrainingAttributes[] = {{"ratio", AttributeType::kFloat},
                                                {"stream", AttributeType::kInt, true},
                                                {"block", AttributeType::kInt}};

const OpDef kOps[] = {
    {.name = "Dropout",
     .doc = "y = x; training drops elements (DropoutTraining)",
     .min_inputs = 1,
     .max_inputs = 3,
     .num_outputs = 2,
     .infer = infer_dropout,
     .carry = carry_same,
     .gradient = gradient_dropout,
     .in_place_inputs = 0b1},
    {.name = "DropoutTraining",
     .doc = "x with a share `ratio` of its elements 0 and the others scaled by 1 / (1 - ratio)",
     .min_opset = 0,
     .attributes = kTrainingAttributes,
     .infer = infer_dropout_training,
     .carry = carry_dropout_training,
     .gradient = gradient_dropout_training,
     .flops = flops_per_element,
     .in_place_inputs = 0b1},
};

}  // namespace

std::span<const OpDef> dropout_ops() { return kOps; }

}  // namespace batchwise

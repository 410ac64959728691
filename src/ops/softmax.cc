// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "ops/families.h"
#include "ops/row_rules.h"

namespace batchwise {
namespace {

std::vector<TensorType> infer_softmax(const NodeView& view) {
  require_rank_at_least(view, 0, 1);
  view.axis("axis", -1, view.input(0).rank());
  return infer_all_same_float(view);
}

BatchCarry carry_softmax(const NodeView& view, std::span<const BatchAxis> batch) {
  const int axis = view.axis("axis", -1, view.input(0).rank());
  if (batch[0].axis == axis) {
    return carry_mix(view, fmt::format("it sums along axis {}, which counts samples", axis));
  }
  return carry_along(view, batch, ~0u, view.input(0).rank());
}

// exp counts as one flop.
double flops_softmax(const NodeView& view) {
  return 4.0 * static_cast<double>(view.output(0).elements());
}

void gradient_with_output(GradientContext& context, const std::string& op) {
  const std::int64_t axis = context.node().attributes.get_int("axis", -1);
  context.set(0,
              context.build.op(op, {context.grad_output(), context.output(0)}, {{"axis", axis}}));
}
void gradient_softmax(GradientContext& context) { gradient_with_output(context, "SoftmaxGrad"); }
void gradient_log_softmax(GradientContext& context) {
  gradient_with_output(context, "LogSoftmaxGrad");
}

constexpr AttributeDef kAxis[] = {{"axis", AttributeType::kInt}};

const OpDef kOps[] = {
    {.name = "Softmax",
     .doc = "exp(x) over its sum along one axis",
     .min_opset = 1,
     .attributes = kAxis,
     .infer = infer_softmax,
     .carry = carry_softmax,
     .gradient = gradient_softmax,
     .flops = flops_softmax,
     .in_place_inputs = 0b1},
    {.name = "LogSoftmax",
     .doc = "x less the logarithm of the sum of exp(x) along one axis",
     .min_opset = 1,
     .attributes = kAxis,
     .infer = infer_softmax,
     .carry = carry_softmax,
     .gradient = gradient_log_softmax,
     .flops = flops_softmax,
     .in_place_inputs = 0b1},
    {.name = "SoftmaxGrad",
     .doc = "gradient of Softmax from dy and y",
     .min_opset = 0,
     .min_inputs = 2,
     .max_inputs = 2,
     .attributes = kAxis,
     .infer = infer_softmax,
     .carry = carry_softmax,
     .flops = flops_softmax,
     .in_place_inputs = 0b1},
    {.name = "LogSoftmaxGrad",
     .doc = "gradient of LogSoftmax from dy and y",
     .min_opset = 0,
     .min_inputs = 2,
     .max_inputs = 2,
     .attributes = kAxis,
     .infer = infer_softmax,
     .carry = carry_softmax,
     .flops = flops_softmax,
     .in_place_inputs = 0b1},
};

}  // namespace

std::span<const OpDef> softmax_ops() { return kOps; }

}  // namespace batchwise

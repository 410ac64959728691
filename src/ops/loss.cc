// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "ops/families.h"
#include "ops/row_rules.h"

namespace batchwise {
namespace {

Shape samples_of(const NodeView& view, int i) { return Shape{view.input(i)[0]}; }

// logits (N, C, d...) and labels (N, d...), at inputs `first` and `first` + 1.
void require_logits_and_labels(const NodeView& view, int first) {
  require_float(view, first);
  require_rank_at_least(view, first, 2);
  const Shape& logits = view.input(first);
  const DType labels = view.input_dtype(first + 1);
  if (labels != DType::kInt64 && labels != DType::kInt32 && labels != DType::kUInt8) {
    fail_input(view.where(), "labels are {}, not int64, int32 or uint8", dtype_name(labels));
  }
  if (logits[1] < 1) fail_input(view.where(), "logits {} have no classes", logits.to_string());
  std::vector<std::int64_t> dims = logits.dims();
  dims.erase(dims.begin() + 1);
  require_shape(view, first + 1, Shape(std::move(dims)), "labels");
}

std::vector<TensorType> infer_cross_entropy(const NodeView& view) {
  require_logits_and_labels(view, 0);
  return {{view.input_dtype(0), samples_of(view, 0)}};
}

std::vector<TensorType> infer_cross_entropy_grad(const NodeView& view) {
  require_logits_and_labels(view, 1);
  require_one_float_type(view, 1, 2);
  require_shape(view, 0, samples_of(view, 1), "dloss");
  return {type_of(view, 1)};
}

void gradient_cross_entropy(GradientContext& context) {
  context.set(0, context.build.op("CrossEntropyGrad",
                                  {context.grad_output(), context.input(0), context.input(1)}));
}

void require_prediction_and_target(const NodeView& view, int first) {
  require_float(view, first);
  require_rank_at_least(view, first, 1);
  require_one_float_type(view, 1, view.num_inputs());
  require_shape(view, first + 1, view.input(first), "the target");
}

std::vector<TensorType> infer_squared_error(const NodeView& view) {
  require_prediction_and_target(view, 0);
  return {{view.input_dtype(0), samples_of(view, 0)}};
}

std::vector<TensorType> infer_squared_error_grad(const NodeView& view) {
  require_prediction_and_target(view, 1);
  require_shape(view, 0, samples_of(view, 1), "dloss");
  return {type_of(view, 1)};
}

// The loss is symmetric in prediction and target.
void gradient_squared_error(GradientContext& context) {
  for (int i = 0; i < 2; ++i) {
    if (!context.wants(i)) continue;
    context.set(i,
                context.build.op("MeanSquaredErrorGrad",
                                 {context.grad_output(), context.input(i), context.input(1 - i)}));
  }
}

BatchCarry carry_loss(const NodeView& view, std::span<const BatchAxis> batch) {
  return carry_along(view, batch, ~0u, 1);
}

double flops_cross_entropy(const NodeView& view) {
  return 4.0 * static_cast<double>(view.input(view.num_inputs() - 2).elements());
}
double flops_squared_error(const NodeView& view) {
  return 3.0 * static_cast<double>(view.input(view.num_inputs() - 1).elements());
}

const OpDef kOps[] = {
    {.name = "CrossEntropy",
     .doc = "loss of each sample: minus the log-softmax of its label, mean over its positions",
     .min_opset = 0,
     .min_inputs = 2,
     .max_inputs = 2,
     .infer = infer_cross_entropy,
     .carry = carry_loss,
     .gradient = gradient_cross_entropy,
     .flops = flops_cross_entropy},
    {.name = "CrossEntropyGrad",
     .doc = "gradient of CrossEntropy from dloss, logits and labels",
     .min_opset = 0,
     .min_inputs = 3,
     .max_inputs = 3,
     .infer = infer_cross_entropy_grad,
     .carry = carry_loss,
     .flops = flops_cross_entropy},
    {.name = "MeanSquaredError",
     .doc = "loss of each sample: mean squared difference to its target",
     .min_opset = 0,
     .min_inputs = 2,
     .max_inputs = 2,
     .infer = infer_squared_error,
     .carry = carry_loss,
     .gradient = gradient_squared_error,
     .flops = flops_squared_error},
    {.name = "MeanSquaredErrorGrad",
     .doc = "gradient of MeanSquaredError from dloss, prediction and target",
     .min_opset = 0,
     .min_inputs = 3,
     .max_inputs = 3,
     .infer = infer_squared_error_grad,
     .carry = carry_loss,
     .flops = flops_squared_error,
     .in_place_inputs = 0b110},
};

}  // namespace

std::span<const OpDef> loss_ops() { return kOps; }

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "ops/families.h"
#include "ops/row_rules.h"

namespace batchwise {
namespace {

void require_scalar(const NodeView& view, int i, std::string_view what) {
  if (!view.has_input(i)) fail_input(view.where(), "{} is missing", what);
  if (view.input(i).elements() != 1) {
    fail_input(view.where(), "{} must be one number, not {}", what, view.input(i).to_string());
  }
}

// Inputs [1, scalars) that are present have the shape of the parameter; then come two scalars.
void require_update(const NodeView& view, int scalars) {
  require_one_float_type(view, 1, view.num_inputs());
  for (int i = 1; i < scalars; ++i) {
    if (view.has_input(i)) require_shape(view, i, view.input(0), "a gradient or moment");
  }
  require_scalar(view, scalars, "the learning rate");
  require_scalar(view, scalars + 1, "the multiplier");
}

std::vector<TensorType> infer_sgd(const NodeView& view) {
  require_update(view, 3);
  const bool needs_velocity = view.attributes().get_float("momentum", 0.0) != 0.0;
  if (needs_velocity && !view.has_input(2)) fail_input(view.where(), "momentum needs a velocity");
  return {type_of(view, 0), type_of(view, 0)};
}

std::vector<TensorType> infer_adam(const NodeView& view) {
  require_update(view, 4);
  return {type_of(view, 0), type_of(view, 0), type_of(view, 0)};
}

std::vector<TensorType> infer_global_norm(const NodeView& view) {
  require_one_float_type(view, 1, view.num_inputs());
  return {{view.input_dtype(0), Shape()}, {view.input_dtype(0), Shape()}};
}

BatchCarry carry_update(const NodeView& view, std::span<const BatchAxis>) {
  return carry_mix(view, "it works on what was summed over samples");
}

double flops_per_output(const NodeView& view) {
  return static_cast<double>(view.input(0).elements());
}
double flops_sgd(const NodeView& view) { return 6.0 * flops_per_output(view); }
double flops_adam(const NodeView& view) { return 14.0 * flops_per_output(view); }
double flops_global_norm(const NodeView& view) {
  double elements = 0;
  for (int i = 0; i < view.num_inputs(); ++i) {
    elements += static_cast<double>(view.input(i).elements());
  }
  return 2.0 * elements;
}

constexpr AttributeDef kSgdAttributes[] = {{"momentum", AttributeType::kFloat},
                                           {"nesterov", AttributeType::kInt},
                                           {"weight_decay", AttributeType::kFloat}};
constexpr AttributeDef kAdamAttributes[] = {{"beta1", AttributeType::kFloat},
                                            {"beta2", AttributeType::kFloat},
                                            {"epsilon", AttributeType::kFloat},
                                            {"weight_decay", AttributeType::kFloat}};
constexpr AttributeDef kGlobalNormAttributes[] = {{"max_norm", AttributeType::kFloat, true}};
constexpr int kSgdUpdates[] = {0, 2};
constexpr int kAdamUpdates[] = {0, 2, 3};

const OpDef kOps[] = {
    {.name = "SgdUpdate",
     .doc = "changes a parameter (and its velocity) by a step of stochastic gradient descent",
     .min_opset = 0,
     .min_inputs = 2,
     .max_inputs = 5,
     .num_outputs = 2,
     .attributes = kSgdAttributes,
     .infer = infer_sgd,
     .carry = carry_update,
     .flops = flops_sgd,
     .updates = kSgdUpdates,
     .has_effect = true},
    {.name = "AdamUpdate",
     .doc = "changes a parameter and its two moments by a step of Adam",
     .min_opset = 0,
     .min_inputs = 6,
     .max_inputs = 6,
     .num_outputs = 3,
     .attributes = kAdamAttributes,
     .infer = infer_adam,
     .carry = carry_update,
     .flops = flops_adam,
     .updates = kAdamUpdates,
     .has_effect = true},
    {.name = "GlobalNormMultiplier",
     .doc = "the factor that clips the norm of all gradients together, and that norm",
     .min_opset = 0,
     .max_inputs = -1,
     .num_outputs = 2,
     .attributes = kGlobalNormAttributes,
     .infer = infer_global_norm,
     .carry = carry_update,
     .flops = flops_global_norm},
};

}  // namespace

std::span<const OpDef> optimizer_ops() { return kOps; }

}  // namespace batchwise

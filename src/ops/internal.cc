// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "ops/families.h"
#include "ops/rules.h"

// Steps that a backend puts into a program: how values lie in memory is its own affair, so there is
// nothing here but types.
namespace batchwise {
namespace {

std::vector<TensorType> infer_pack(const NodeView& view) {
  require_float(view, 0);
  return {{DType::kFloat32, Shape{view.attributes().get_int("floats")}}};
}

std::vector<TensorType> infer_reorder(const NodeView& view) {
  const std::string to = view.attributes().get_string("to", "");
  if (to != "channels_last" && to != "row_major") {
    fail_input(view.where(), "to must be channels_last or row_major, not '{}'", to);
  }
  return infer_same(view);
}

BatchCarry carry_pack(const NodeView& view, std::span<const BatchAxis>) {
  return carry_mix(view, "what is packed must be the same for every sample");
}

constexpr AttributeDef kPackAttributes[] = {{"floats", AttributeType::kInt, true}};
constexpr AttributeDef kReorderAttributes[] = {{"to", AttributeType::kString, true}};

const OpDef kOps[] = {
    {.name = "Pack",
     .doc = "a weight in the form that a backend's kernel reads",
     .min_opset = 0,
     .attributes = kPackAttributes,
     .infer = infer_pack,
     .carry = carry_pack},
    {.name = "Reorder",
     .doc = "the same tensor in another layout",
     .min_opset = 0,
     .attributes = kReorderAttributes,
     .infer = infer_reorder,
     .carry = carry_same},
};

}  // namespace

std::span<const OpDef> internal_ops() { return kOps; }

}  // namespace batchwise

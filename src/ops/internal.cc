// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "ops/families.h"
#include "ops/rules.h"

// The step that the engine puts between layouts: how values lie in memory is its own affair, so
// there is nothing here but types.
namespace batchwise {
namespace {

std::vector<TensorType> infer_reorder(const NodeView& view) {
  const std::string to = view.attributes().get_string("to", "");
  if (to != "channels_last" && to != "row_major") {
    fail_input(view.where(), "to must be channels_last or row_major, not '{}'", to);
  }
  return infer_same(view);
}

constexpr AttributeDef kReorderAttributes[] = {{"to", AttributeType::kString, true}};

const OpDef kOps[] = {
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

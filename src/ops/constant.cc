// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "ops/constant_value.h"
#include "ops/families.h"
#include "ops/rules.h"

namespace batchwise {

Tensor constant_value(const NodeView& view) {
  const Attributes& attributes = view.attributes();
  if (attributes.has("value")) return attributes.get_tensor("value");
  if (attributes.has("value_int")) return Tensor::scalar(attributes.get_int("value_int"));
  if (attributes.has("value_float")) {
    return Tensor::scalar(static_cast<float>(attributes.get_float("value_float", 0)));
  }
  if (attributes.has("value_ints")) {
    const std::vector<std::int64_t> values = attributes.get_ints("value_ints");
    return Tensor::from(Shape{static_cast<std::int64_t>(values.size())}, values);
  }
  if (attributes.has("value_floats")) {
    const std::vector<double> doubles = attributes.get_floats("value_floats");
    const std::vector<float> values(doubles.begin(), doubles.end());
    return Tensor::from(Shape{static_cast<std::int64_t>(values.size())}, values);
  }
  fail_input(view.where(), "has no value of a kind that is supported");
}

Tensor fill_value(const NodeView& view) {
  if (!view.attributes().has("value")) return Tensor::scalar(0.0f);
  const Tensor& value = view.attributes().get_tensor("value");
  if (value.shape().elements() != 1) {
    fail_input(view.where(), "its value has shape {}, not one element", value.shape().to_string());
  }
  return value.materialized().reshaped(Shape());
}

ShapeRange shape_range(const NodeView& view) {
  const std::int64_t rank = view.input(0).rank();
  const auto place = [&](std::int64_t value) {
    if (value < 0) value += rank;
    return static_cast<int>(value < 0 ? 0 : value > rank ? rank : value);
  };
  const int begin = place(view.attributes().get_int("start", 0));
  const int end = place(view.attributes().get_int("end", rank));
  return {begin, end < begin ? begin : end};
}

namespace {

std::vector<TensorType> infer_constant(const NodeView& view) {
  const Tensor value = constant_value(view);
  return {{value.dtype(), value.shape()}};
}

std::vector<TensorType> infer_constant_of_shape(const NodeView& view) {
  const Shape shape(view.constant_int64s(0));
  const DType dtype = fill_value(view).dtype();
  checked_bytes(shape, dtype_bytes(dtype), view.where());
  return {{dtype, shape}};
}

std::vector<TensorType> infer_shape(const NodeView& view) {
  const ShapeRange range = shape_range(view);
  return {{DType::kInt64, Shape{range.end - range.begin}}};
}

// The result is the same for all samples; but where it holds the batch size, what is computed from
// it differs from batch to batch.
BatchCarry carry_shape(const NodeView& view, std::span<const BatchAxis> batch) {
  const ShapeRange range = shape_range(view);
  if (batch[0].axis >= range.begin && batch[0].axis < range.end) {
    return carry_mix(view, "its result holds the batch size");
  }
  return carry_to(view, {});
}

constexpr AttributeDef kConstantAttributes[] = {{"value", AttributeType::kTensor},
                                                {"value_float", AttributeType::kFloat},
                                                {"value_floats", AttributeType::kFloats},
                                                {"value_int", AttributeType::kInt},
                                                {"value_ints", AttributeType::kInts}};
constexpr AttributeDef kValue[] = {{"value", AttributeType::kTensor}};
constexpr AttributeDef kStartEnd[] = {{"start", AttributeType::kInt}, {"end", AttributeType::kInt}};

const OpDef kOps[] = {
    {.name = "Constant",
     .doc = "a value written into the node",
     .min_inputs = 0,
     .max_inputs = 0,
     .attributes = kConstantAttributes,
     .infer = infer_constant},
    {.name = "ConstantOfShape",
     .doc = "one value in every place of a shape",
     .min_opset = 9,
     .attributes = kValue,
     .infer = infer_constant_of_shape},
    {.name = "Shape",
     .doc = "the dimensions of x",
     .attributes = kStartEnd,
     .infer = infer_shape,
     .carry = carry_shape},
};

}  // namespace

std::span<const OpDef> constant_ops() { return kOps; }

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
// Values are those that ONNX's operator documents give for the opset of each model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "backend/reference/interpreter.h"
#include "batchwise/error.h"
#include "onnx_io/test_model.h"
#include "ops/op.h"

namespace batchwise::onnx_io {
namespace {

using Ints = std::vector<std::int64_t>;
using Floats = std::vector<float>;

struct Result {
  Shape shape;
  Floats values;
};

std::vector<Result> run_all(const TestModel& model, const Floats& input) {
  const Graph graph = read_bytes(model.bytes());
  verify(graph);
  verify_ops(graph);
  const std::vector<Tensor> inputs{Tensor::from(graph.shape(graph.inputs[0]), input)};
  std::vector<Result> results;
  for (const Tensor& output : reference::interpret(graph, inputs)) {
    const Tensor dense = output.materialized();
    results.push_back(
        {dense.shape(), Floats(dense.values<float>().begin(), dense.values<float>().end())});
  }
  return results;
}

Result run(const TestModel& model, const Floats& input) { return run_all(model, input).at(0); }

std::string error_of(const TestModel& model) {
  try {
    read_bytes(model.bytes());
  } catch (const InternalError& error) {
    ADD_FAILURE() << error.what();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// A model of one node from "x" to "y".
TestModel one_node(std::int64_t opset, const std::string& op, const Ints& input_shape,
                   const std::vector<std::string>& more_inputs = {}) {
  TestModel model(opset);
  std::vector<std::string> inputs{"x"};
  inputs.insert(inputs.end(), more_inputs.begin(), more_inputs.end());
  model.input("x", input_shape).node(op, inputs, {"y"}).output("y");
  return model;
}

TEST(Lowering, ClipWithAttributes) {
  TestModel both = one_node(7, "Clip", {1, 4});
  both.with_float("min", -1).with_float("max", 2);
  EXPECT_EQ(run(both, {-5, -0.5, 1, 9}).values, (Floats{-1, -0.5, 1, 2}));
  TestModel upper = one_node(10, "Clip", {1, 4});
  upper.with_float("max", 2);
  EXPECT_EQ(run(upper, {-5, -0.5, 1, 9}).values, (Floats{-5, -0.5, 1, 2}));
  const TestModel none = one_node(10, "Clip", {1, 4});
  EXPECT_EQ(run(none, {-5, -0.5, 1, 9}).values, (Floats{-5, -0.5, 1, 9}));
}

TEST(Lowering, SqueezeAndUnsqueezeWithAttributes) {
  TestModel squeeze = one_node(11, "Squeeze", {1, 2, 1, 3});
  squeeze.with("axes", Ints{-2});
  EXPECT_EQ(run(squeeze, {1, 2, 3, 4, 5, 6}).shape, (Shape{1, 2, 3}));
  TestModel unsqueeze = one_node(11, "Unsqueeze", {1, 3});
  unsqueeze.with("axes", Ints{1, 3});
  EXPECT_EQ(run(unsqueeze, {1, 2, 3}).shape, (Shape{1, 1, 3, 1}));
}

TEST(Lowering, ReductionsWithAttributes) {
  TestModel sum = one_node(11, "ReduceSum", {1, 2, 3});
  sum.with("axes", Ints{2}).with("keepdims", 0);
  EXPECT_EQ(run(sum, {1, 2, 3, 4, 5, 6}).values, (Floats{6, 15}));
  EXPECT_EQ(run(sum, {1, 2, 3, 4, 5, 6}).shape, (Shape{1, 2}));
  TestModel mean = one_node(13, "ReduceMean", {1, 2, 3});
  mean.with("axes", Ints{1, 2});
  EXPECT_EQ(run(mean, {1, 2, 3, 4, 5, 6}).values, (Floats{3.5}));
  EXPECT_EQ(run(mean, {1, 2, 3, 4, 5, 6}).shape, (Shape{1, 1, 1}));
  TestModel max = one_node(13, "ReduceMax", {1, 2, 3});
  max.with("axes", Ints{-1}).with("keepdims", 0);
  EXPECT_EQ(run(max, {3, 2, 1, 4, 6, 5}).values, (Floats{3, 6}));
}

TEST(Lowering, SplitWithAttribute) {
  TestModel model(11);
  model.input("x", {1, 5}).node("Split", {"x"}, {"a", "b"});
  model.with("axis", 1).with("split", Ints{2, 3}).output("a").output("b");
  const auto results = run_all(model, {1, 2, 3, 4, 5});
  EXPECT_EQ(results[0].values, (Floats{1, 2}));
  EXPECT_EQ(results[1].values, (Floats{3, 4, 5}));
  TestModel even(11);
  even.input("x", {1, 4}).node("Split", {"x"}, {"a", "b"}).with("axis", 1).output("a").output("b");
  EXPECT_EQ(run_all(even, {1, 2, 3, 4})[1].values, (Floats{3, 4}));
}

TEST(Lowering, SliceWithAttributes) {
  TestModel model = one_node(9, "Slice", {1, 2, 4});
  model.with("starts", Ints{1, -3}).with("ends", Ints{2, 1000}).with("axes", Ints{1, 2});
  EXPECT_EQ(run(model, {1, 2, 3, 4, 5, 6, 7, 8}).values, (Floats{6, 7, 8}));
  TestModel leading = one_node(9, "Slice", {1, 4});
  leading.with("starts", Ints{0, 1}).with("ends", Ints{1, 3});
  EXPECT_EQ(run(leading, {1, 2, 3, 4}).values, (Floats{2, 3}));
}

TEST(Lowering, DropoutIsIdentity) {
  for (const int opset : {7, 10, 12}) {
    TestModel model(opset);
    model.input("x", {1, 3}).node("Dropout", {"x"}, {"y"});
    if (opset < 12) model.with_float("ratio", 0.25f);
    model.output("y");
    EXPECT_EQ(run(model, {1, 2, 3}).values, (Floats{1, 2, 3})) << opset;
  }
}

TEST(Lowering, SoftmaxOverAllAxesFromOneOn) {
  // Before opset 13 the default axis is 1, and all axes from it on are normalized together.
  const Floats input{0, std::log(2.0f), std::log(3.0f), std::log(4.0f)};
  const Result old = run(one_node(12, "Softmax", {1, 2, 2}), input);
  EXPECT_EQ(old.shape, (Shape{1, 2, 2}));
  const Floats together{0.1f, 0.2f, 0.3f, 0.4f};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(old.values[i], together[i], 1e-6);
  const Result now = run(one_node(13, "Softmax", {1, 2, 2}), input);
  const Floats by_row{1 / 3.0f, 2 / 3.0f, 3 / 7.0f, 4 / 7.0f};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(now.values[i], by_row[i], 1e-6);
}

TEST(Lowering, SoftmaxOfAnInnerAxis) {
  const Floats input{0, std::log(3.0f), 0, 0, 1, 1, 1, 1};
  TestModel model = one_node(11, "Softmax", {1, 2, 2, 2});
  model.with("axis", 2);
  const Result result = run(model, input);
  EXPECT_EQ(result.shape, (Shape{1, 2, 2, 2}));
  const Floats expected{1 / 6.0f, 0.5, 1 / 6.0f, 1 / 6.0f, 0.25, 0.25, 0.25, 0.25};
  for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(result.values[i], expected[i], 1e-6);
  TestModel last = one_node(11, "LogSoftmax", {1, 2, 2});
  last.with("axis", -1);
  EXPECT_NEAR(run(last, {0, 0, 5, 5}).values[3], -std::log(2.0), 1e-6);
  TestModel outside = one_node(11, "Softmax", {1, 2});
  outside.with("axis", 5);
  EXPECT_THAT(error_of(outside), testing::HasSubstr("axis 5"));
}

TEST(Lowering, SumOfAnyNumber) {
  TestModel three = one_node(8, "Sum", {1, 2}, {"x", "w"});
  three.floats("w", {2}, {10, 20});
  EXPECT_EQ(run(three, {1, 2}).values, (Floats{12, 24}));
  EXPECT_EQ(run(one_node(8, "Sum", {1, 2}), {1, 2}).values, (Floats{1, 2}));
}

TEST(Lowering, BatchNormalizationWithOldAttributes) {
  TestModel model(7);
  model.input("x", {1, 2, 1, 2}).floats("s", {2}, {1, 2}).floats("b", {2}, {0, 1});
  model.floats("m", {2}, {1, 2}).floats("v", {2}, {4, 1});
  model.node("BatchNormalization", {"x", "s", "b", "m", "v"}, {"y"});
  model.with_float("epsilon", 0).with_float("momentum", 0.9f).with("spatial", 1).output("y");
  EXPECT_EQ(run(model, {3, 5, 4, 1}).values, (Floats{1, 2, 5, -1}));
  TestModel per_activation = model;
  per_activation.graph().mutable_node(0)->mutable_attribute(2)->set_i(0);
  EXPECT_THAT(error_of(per_activation), testing::HasSubstr("spatial"));
  TestModel training(15);
  training.input("x", {1, 2}).floats("s", {2}, {1, 2}).floats("b", {2}, {0, 1});
  training.floats("m", {2}, {1, 2}).floats("v", {2}, {4, 1});
  training.node("BatchNormalization", {"x", "s", "b", "m", "v"}, {"y"});
  training.with("training_mode", 1).output("y");
  EXPECT_THAT(error_of(training), testing::HasSubstr("training_mode"));
}

TEST(Lowering, ConstantsOfEveryKind) {
  TestModel model(13);
  model.input("x", {1, 2}).node("Constant", {}, {"c"}).with_float("value_float", 3);
  model.node("Mul", {"x", "c"}, {"y"}).output("y");
  EXPECT_EQ(run(model, {1, 2}).values, (Floats{3, 6}));
  TestModel shape(13);
  shape.input("x", {1, 4}).node("Constant", {}, {"c"}).with("value_ints", Ints{1, 2, 2});
  shape.node("Reshape", {"x", "c"}, {"y"}).output("y");
  EXPECT_EQ(run(shape, {1, 2, 3, 4}).shape, (Shape{1, 2, 2}));
}

TEST(Lowering, OptionalOutputsThatAreNotUsed) {
  TestModel model(12);
  model.input("x", {1, 1, 2, 2}).node("MaxPool", {"x"}, {"y", "indices"});
  model.with("kernel_shape", Ints{2, 2}).with("storage_order", 0).output("y");
  EXPECT_EQ(run(model, {1, 4, 3, 2}).values, (Floats{4}));
}

}  // namespace
}  // namespace batchwise::onnx_io

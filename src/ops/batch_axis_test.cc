// SPDX-License-Identifier: Apache-2.0
// Rules of reshaping and moving ops for the axis that counts samples, and how a batch of 1 that was
// burnt into a shape is made free.
#include <gtest/gtest.h>

#include "ops/builder.h"

namespace batchwise {
namespace {

using Ints = std::vector<std::int64_t>;

struct Carried {
  BatchAxis axis;
  std::string mixes;
};

// The batch axis of op(x, constants...), where x is float32 of this shape.
Carried carry(const std::string& op, const Shape& shape, BatchAxis batch,
              const std::vector<Ints>& constants = {}, const Attributes& attributes = {}) {
  Graph graph;
  GraphBuilder build(graph);
  std::vector<ValueId> inputs{graph.add_input("x", {DType::kFloat32, shape}, batch)};
  for (const Ints& constant : constants) inputs.push_back(build.int64s(constant));
  const ValueId y = build.op(op, inputs, attributes);
  const std::string mixes = carry_batch(graph);
  return {graph.value(y).batch, mixes};
}

void expect_axis(const Carried& carried, int axis, std::int64_t block) {
  EXPECT_EQ(carried.mixes, "");
  EXPECT_EQ(carried.axis.axis, axis);
  EXPECT_EQ(carried.axis.block, block);
}

TEST(BatchAxis, ReshapeFollowsTheOpenDimension) {
  expect_axis(carry("Reshape", {2, 3, 4}, {0, 1}, {{0, -1}}), 0, 1);
  expect_axis(carry("Reshape", {2, 3, 4}, {0, 1}, {{-1, 4}}), 0, 3);
  expect_axis(carry("Reshape", {6, 4}, {0, 3}, {{-1, 3, 4}}), 0, 1);
  expect_axis(carry("Reshape", {6, 4}, {0, 3}, {{-1, 6, 2}}), 0, 1);
  expect_axis(carry("Reshape", {5, 2, 3}, {1, 1}, {{5, -1}}), 1, 3);
  expect_axis(carry("Reshape", {2, 3, 4}, {0, 1}, {{1, -1, 12}}), 1, 1);
}

TEST(BatchAxis, ReshapeToFixedShapesMixes) {
  EXPECT_NE(carry("Reshape", {1, 3, 4}, {0, 1}, {{1, 12}}).mixes, "");
  EXPECT_NE(carry("Reshape", {2, 3, 4}, {0, 1}, {{3, -1}}).mixes, "");
  EXPECT_NE(carry("Reshape", {4, 3}, {0, 1}, {{-1, 6}}).mixes, "");
  EXPECT_NE(carry("Reshape", {2, 3, 4}, {1, 1}, {{-1, 4}}).mixes, "");
  // A batch of 1 hides that axis 1 takes all samples.
  EXPECT_NE(carry("Reshape", {1, 3, 4}, {0, 1}, {{3, -1}}).mixes, "");
}

// The shape that frees a Reshape of x, whose batch of 1 (times block) is axis 0.
std::optional<Ints> freed(const Shape& shape, std::int64_t block, const Ints& to) {
  Graph graph;
  GraphBuilder build(graph);
  const BatchAxis batch{0, block};
  const ValueId x = graph.add_input("x", {DType::kFloat32, shape}, batch);
  build.op("Reshape", {x, build.int64s(to)});
  const std::vector<BatchAxis> batches{batch, {}};
  const auto tensor = op_row("Reshape").free_batch(NodeView(graph, graph.nodes[0]), batches, 1);
  if (!tensor) return std::nullopt;
  return tensor->to_int64s("test");
}

TEST(FreeBatch, ALeadingOneBecomesTheBatch) {
  EXPECT_EQ(freed({1, 3, 4}, 1, {1, 12}), (Ints{0, 12}));
  EXPECT_EQ(freed({1, 3, 4}, 1, {1, -1}), (Ints{0, -1}));
  EXPECT_EQ(freed({1, 12}, 1, {1, 1, 12}), (Ints{0, 1, 12}));
}

TEST(FreeBatch, OtherLeadingDimensionsBecomeOpen) {
  EXPECT_EQ(freed({1, 3, 4}, 1, {3, 4}), (Ints{-1, 4}));
  EXPECT_EQ(freed({1, 3, 4}, 1, {3, -1}), (Ints{-1, 4}));
  EXPECT_EQ(freed({3, 4}, 3, {1, 12}), (Ints{-1, 12}));
  EXPECT_EQ(freed({3, 4}, 3, {1, -1, 2}), (Ints{-1, 6, 2}));
}

TEST(FreeBatch, FreeShapesStay) {
  EXPECT_EQ(freed({1, 3, 4}, 1, {0, 12}), std::nullopt);
  EXPECT_EQ(freed({1, 3, 4}, 1, {-1, 4}), std::nullopt);
}

TEST(BatchAxis, MovingOpsMoveIt) {
  expect_axis(carry("Transpose", {2, 3, 4}, {0, 1}, {}, {{"perm", Ints{2, 0, 1}}}), 1, 1);
  expect_axis(carry("Flatten", {2, 3, 4}, {0, 1}), 0, 1);
  expect_axis(carry("Flatten", {2, 3, 4}, {0, 1}, {}, {{"axis", 2}}), 0, 3);
  expect_axis(carry("Unsqueeze", {2, 3}, {0, 1}, {{0, 2}}), 1, 1);
  expect_axis(carry("Squeeze", {1, 2, 1, 3}, {1, 1}, {{0, 2}}), 0, 1);
  expect_axis(carry("ReduceSum", {5, 2, 3}, {1, 1}, {{0}}, {{"keepdims", 0}}), 0, 1);
  EXPECT_NE(carry("Squeeze", {1, 3}, {0, 1}).mixes, "");
  EXPECT_NE(carry("ReduceSum", {1, 3}, {0, 1}, {{0}}).mixes, "");
}

TEST(BatchAxis, SlicesOfOtherAxesAndWholeOnesKeepIt) {
  constexpr std::int64_t kEnd = 9223372036854775807;
  expect_axis(carry("Slice", {2, 5}, {0, 1}, {{1}, {3}, {1}}), 0, 1);
  expect_axis(carry("Slice", {2, 5}, {0, 1}, {{0, 1}, {kEnd, 3}}), 0, 1);
  EXPECT_NE(carry("Slice", {1, 5}, {0, 1}, {{0}, {1}, {0}}).mixes, "");
}

TEST(BatchAxis, BroadcastAlignsAxesFromTheRight) {
  Graph graph;
  GraphBuilder build(graph);
  const ValueId x = graph.add_input("x", {DType::kFloat32, {2, 3, 4}}, {1, 1});
  const ValueId y = graph.add_input("y", {DType::kFloat32, {3, 1}}, {0, 1});
  const ValueId fixed = graph.add_constant("c", Tensor::zeros(DType::kFloat32, {3, 4}));
  const ValueId sum = build.op("Add", {x, y});
  build.op("Mul", {sum, fixed});
  EXPECT_NE(carry_batch(graph).find("Mul"), std::string::npos);
  EXPECT_EQ(graph.value(sum).batch, (BatchAxis{1, 1}));
}

}  // namespace
}  // namespace batchwise

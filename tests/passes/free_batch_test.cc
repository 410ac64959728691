// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/evaluator.h"
#include "ops/builder.h"
#include "passes/bind_batch.h"

namespace batchwise {
namespace {

using testing::HasSubstr;
using Ints = std::vector<std::int64_t>;

ValueId add_input(Graph& graph, Shape shape, BatchAxis batch = {}) {
  return graph.add_input("x", {DType::kFloat32, std::move(shape)}, batch);
}

Shape bound_shape(const Graph& graph, std::int64_t batch) {
  const Graph bound = bind_batch(graph, batch, engine_evaluator());
  verify(bound);
  verify_ops(bound);
  return bound.shape(bound.outputs[0]);
}

TEST(FreeBatch, FreesAReshapeWithAOneBurntIn) {
  Graph graph;
  GraphBuilder build(graph);
  const ValueId x = add_input(graph, {1, 2, 3});
  graph.outputs = {build.op("Reshape", {x, build.int64s({1, 6})})};
  ASSERT_EQ(free_batch(graph, engine_evaluator()), "");
  EXPECT_EQ(bound_shape(graph, 1), (Shape{1, 6}));
  EXPECT_EQ(bound_shape(graph, 7), (Shape{7, 6}));
}

TEST(FreeBatch, NamesTheNodeThatMixesSamples) {
  Graph graph;
  GraphBuilder build(graph);
  const ValueId x = add_input(graph, {1, 4});
  build.set_prefix("guilty.");
  graph.outputs = {build.op("ReduceSum", {x, build.int64s({0})})};
  const std::string before = to_string(graph);
  EXPECT_THAT(free_batch(graph, engine_evaluator()), HasSubstr("guilty.ReduceSum"));
  EXPECT_EQ(to_string(graph), before) << "a failed proof leaves the graph alone";
  EXPECT_EQ(graph.value(x).batch, BatchAxis{});
}

TEST(FreeBatch, WantsABatchOfOne) {
  Graph graph;
  graph.outputs = {GraphBuilder(graph).op("Relu", {add_input(graph, {4, 4})})};
  EXPECT_THAT(free_batch(graph, engine_evaluator()), HasSubstr("[4, 4]"));
}

// What exporters write for "keep the batch, flatten the rest".
TEST(FreeBatch, FollowsAShapeComputedFromTheBatch) {
  Graph graph;
  GraphBuilder build(graph);
  const ValueId x = add_input(graph, {1, 2, 3}, {0, 1});
  const ValueId shape = build.op("Shape", {x});
  const ValueId zero = graph.add_constant("zero", Tensor::scalar(std::int64_t{0}));
  const ValueId rows = build.op("Gather", {shape, zero});
  const ValueId rows1 = build.op("Unsqueeze", {rows, build.int64s({0})});
  const ValueId two = build.op("Slice", {shape, build.int64s({1}), build.int64s({2})});
  const ValueId last = build.op("Mul", {two, build.int64s({3})});
  const ValueId target = build.op("Concat", {rows1, last}, {{"axis", std::int64_t{0}}});
  graph.outputs = {build.op("Reshape", {x, target})};
  EXPECT_EQ(graph.shape(graph.outputs[0]), (Shape{1, 6}));
  verify_ops(graph);
  ASSERT_EQ(free_batch(graph, engine_evaluator()), "");
  EXPECT_EQ(bound_shape(graph, 5), (Shape{5, 6}));
}

TEST(FreeBatch, RefusesAShapeThatMixesSamples) {
  Graph graph;
  GraphBuilder build(graph);
  const ValueId x = add_input(graph, {1, 4}, {0, 1});
  const ValueId all = build.op("Mul", {build.op("Shape", {x}), build.int64s({1, 1})});
  const ValueId swapped = build.op("Gather", {all, build.int64s({1, 0})});
  graph.outputs = {build.op("Reshape", {x, swapped})};
  EXPECT_NE(free_batch(graph, engine_evaluator()), "");
}

TEST(BindBatch, NamesTheNodeWhoseShapeDoesNotFollow) {
  Graph graph;
  GraphBuilder build(graph);
  const ValueId x = add_input(graph, {1, 4}, {0, 1});
  graph.outputs = {build.op("Reshape", {x, build.int64s({1, 4})})};
  try {
    bind_batch(graph, 2, engine_evaluator());
    FAIL() << "the reshape cannot hold";
  } catch (const InternalError& error) {
    FAIL() << error.what();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("Reshape"));
  }
}

}  // namespace
}  // namespace batchwise

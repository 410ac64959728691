// SPDX-License-Identifier: Apache-2.0
#include "backend/reference/interpreter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/builder.h"

namespace batchwise::reference {
namespace {

using ::testing::ElementsAre;
using Ints = std::vector<std::int64_t>;
using Floats = std::vector<float>;

Tensor tensor(const Shape& shape, const Floats& values) { return Tensor::from(shape, values); }

Floats floats_of(const Tensor& t) {
  const auto values = t.values<float>();
  return {values.begin(), values.end()};
}

// The value of a constant expression of one node.
Tensor evaluate(const std::string& op, const std::vector<Tensor>& inputs,
                const Attributes& attributes = {}) {
  Graph graph;
  std::vector<ValueId> ids;
  for (const Tensor& input : inputs) ids.push_back(graph.add_constant("c", input));
  GraphBuilder(graph).op(op, ids, attributes);
  return evaluate_node(graph, NodeId(0))[0];
}

Tensor ints(const Ints& values) {
  return Tensor::from(Shape{static_cast<std::int64_t>(values.size())}, values);
}

TEST(Interpret, RunsShapeExpressions) {
  Graph graph;
  GraphBuilder build(graph);
  const ValueId x = graph.add_input("x", {DType::kFloat32, {2, 3, 4}});
  const ValueId shape = build.op("Shape", {x});
  const ValueId batch = build.op("Gather", {shape, build.int64s({0})});
  const ValueId wanted = build.op("Concat", {batch, build.int64s({-1})}, {{"axis", 0}});
  graph.outputs = {wanted};
  const auto outputs =
      interpret(graph, std::vector<Tensor>{Tensor::zeros(DType::kFloat32, {2, 3, 4})});
  EXPECT_THAT(outputs[0].to_int64s("test"), ElementsAre(2, -1));
}

TEST(EvaluateNode, TakesShapesOfValuesThatAreNotConstant) {
  Graph graph;
  const ValueId x = graph.add_input("x", {DType::kFloat32, {2, 3}});
  GraphBuilder build(graph);
  build.op("Shape", {x});
  build.op("Relu", {x});
  EXPECT_TRUE(can_evaluate(graph, NodeId(0)));
  EXPECT_FALSE(can_evaluate(graph, NodeId(1)));
  EXPECT_THAT(evaluate_node(graph, NodeId(0))[0].to_int64s("test"), ElementsAre(2, 3));
}

TEST(Interpret, KeepsStatesBetweenRuns) {
  Graph graph;
  GraphBuilder build(graph);
  const ValueId x = graph.add_input("x", {DType::kFloat32, {2, 2}});
  const ValueId sum = graph.add_state("sum", {DType::kFloat32, {2}});
  const ValueId y = build.op("SumTo", {x, sum}, {{"shape", Ints{2}}});
  graph.outputs = {y};
  std::map<ValueId, Tensor> states;
  const std::vector<Tensor> inputs{tensor({2, 2}, {1, 2, 3, 4})};
  interpret(graph, inputs, &states);
  interpret(graph, inputs, &states, {.accumulate = true});
  EXPECT_THAT(floats_of(states.at(sum)), ElementsAre(8, 12));
  interpret(graph, inputs, &states, {.accumulate = false});
  EXPECT_THAT(floats_of(states.at(sum)), ElementsAre(4, 6));
}

TEST(Interpret, RefusesInputsOfOtherShapes) {
  Graph graph;
  graph.add_input("x", {DType::kFloat32, {2}});
  EXPECT_THROW(interpret(graph, std::vector<Tensor>{tensor({3}, {1, 2, 3})}), Error);
  EXPECT_THROW(interpret(graph, {}), Error);
}

TEST(Reference, BroadcastsBothWays) {
  const Tensor y = evaluate("Sub", {tensor({2, 1}, {1, 10}), tensor({3}, {1, 2, 3})});
  EXPECT_THAT(floats_of(y), ElementsAre(0, -1, -2, 9, 8, 7));
}

TEST(Reference, IntegerDivisionGoesTowardsZero) {
  const Ints quotients = evaluate("Div", {ints({7, -7, 7}), ints({2, 2, -2})}).to_int64s("test");
  EXPECT_THAT(quotients, ElementsAre(3, -3, -3));
  EXPECT_THROW(evaluate("Div", {ints({1}), ints({0})}), Error);
}

TEST(Reference, SlicesWithSteps) {
  const Tensor x = ints({0, 1, 2, 3, 4, 5});
  const auto slice = [&](std::int64_t start, std::int64_t end, std::int64_t step) {
    return evaluate("Slice", {x, ints({start}), ints({end}), ints({0}), ints({step})})
        .to_int64s("test");
  };
  EXPECT_THAT(slice(1, 5, 2), ElementsAre(1, 3));
  EXPECT_THAT(slice(-1, INT64_MIN, -2), ElementsAre(5, 3, 1));
  EXPECT_THAT(slice(4, 1, -1), ElementsAre(4, 3, 2));
  EXPECT_THAT(slice(-2, INT64_MAX, 1), ElementsAre(4, 5));
  EXPECT_THAT(slice(3, 3, 1), ElementsAre());
  EXPECT_THAT(slice(100, -100, -4), ElementsAre(5, 1));
}

TEST(Reference, TransposesByPermutation) {
  const Tensor x = ints({0, 1, 2, 3, 4, 5}).reshaped({1, 2, 3});
  EXPECT_THAT(evaluate("Transpose", {x}, {{"perm", Ints{2, 0, 1}}}).to_int64s("test"),
              ElementsAre(0, 3, 1, 4, 2, 5));
}

TEST(Reference, GathersAlongAnAxis) {
  const Tensor x = ints({0, 1, 2, 3, 4, 5}).reshaped({2, 3});
  const Tensor y = evaluate("Gather", {x, ints({2, -3})}, {{"axis", 1}});
  EXPECT_THAT(y.to_int64s("test"), ElementsAre(2, 0, 5, 3));
  EXPECT_THROW(evaluate("Gather", {x, ints({3})}, {{"axis", 1}}), Error);
}

TEST(Reference, ReducesAlongAxes) {
  const Tensor x = tensor({2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, -8});
  EXPECT_THAT(floats_of(evaluate("ReduceSum", {x, ints({1})})), ElementsAre(4, 6, 12, -2));
  EXPECT_THAT(floats_of(evaluate("ReduceMean", {x, ints({0, 2})}, {{"keepdims", 0}})),
              ElementsAre(3.5, 1.5));
  EXPECT_THAT(floats_of(evaluate("ReduceMax", {x, ints({-1})})), ElementsAre(2, 4, 6, 7));
  EXPECT_THAT(floats_of(evaluate("ReduceSum", {x})), ElementsAre(20));
}

TEST(Reference, CastsHoldNumbersInRange) {
  const auto to = [](DType dtype) { return Attributes{{"to", static_cast<std::int64_t>(dtype)}}; };
  const Tensor x = tensor({4}, {-1.7f, 2.9f, 300, 1e30f});
  EXPECT_THAT(evaluate("Cast", {x}, to(DType::kUInt8)).to_int64s("test"),
              ElementsAre(0, 2, 255, 255));
  EXPECT_THAT(evaluate("Cast", {x}, to(DType::kInt64)).to_int64s("test"),
              ElementsAre(-1, 2, 300, INT64_MAX));
}

// Values of the error and normal distribution functions from tables.
TEST(Reference, ActivationsHaveTheirTabulatedValues) {
  const auto at = [](const std::string& op, double x, const Attributes& attributes = {}) {
    return evaluate(op, {Tensor::scalar(x)}, attributes).values<double>()[0];
  };
  EXPECT_NEAR(at("Erf", 0.5), 0.5204998778130465, 1e-15);
  EXPECT_NEAR(at("Gelu", 1), 0.8413447460685429, 1e-15);
  EXPECT_NEAR(at("Gelu", 1, {{"approximate", std::string("tanh")}}), 0.8411919906082768, 1e-15);
  EXPECT_NEAR(at("Sigmoid", 1), 0.7310585786300049, 1e-15);
  EXPECT_NEAR(at("Tanh", 0.5), 0.46211715726000973, 1e-15);
  EXPECT_EQ(at("LeakyRelu", -2, {{"alpha", 0.25}}), -0.5);
}

}  // namespace
}  // namespace batchwise::reference

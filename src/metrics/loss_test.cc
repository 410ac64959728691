// SPDX-License-Identifier: Apache-2.0
#include "metrics/loss.h"

#include <gtest/gtest.h>

#include "batchwise/error.h"

namespace batchwise {
namespace {

// The labels that a loss adds to a model of [1, 4] to [1, 4].
Value labels_for(BatchAxis batch, Loss loss) {
  Graph graph;
  GraphBuilder build(graph);
  const ValueId x = graph.add_input("x", {DType::kFloat32, {1, 4}}, batch);
  graph.outputs = {build.op("Relu", {x})};
  return graph.value(add_loss(graph, loss, graph.outputs[0]).labels);
}

TEST(Loss, LabelsHaveABatchWhereTheModelHasOne) {
  for (const Loss loss : {Loss::kCrossEntropy, Loss::kMeanSquaredError}) {
    EXPECT_EQ(labels_for({0, 1}, loss).batch, (BatchAxis{0, 1}));
    EXPECT_EQ(labels_for({}, loss).batch, BatchAxis{});
  }
}

// As models that end in a pooling or a 1x1 convolution answer: [samples, classes, 1, 1].
TEST(Loss, CrossEntropyTakesClassesWithAxesOfOne) {
  for (const bool softmax : {false, true}) {
    Graph graph;
    GraphBuilder build(graph);
    const ValueId x = graph.add_input("x", {DType::kFloat32, {2, 3, 4, 4}}, {0, 1});
    ValueId output = build.op("GlobalAveragePool", {x});
    if (softmax) output = build.op("Softmax", {output}, {{"axis", std::int64_t{1}}});
    const LossNodes nodes = add_loss(graph, Loss::kCrossEntropy, output);
    EXPECT_EQ(graph.shape(nodes.labels), Shape{2});
    const Node& loss = graph.node(graph.value(nodes.loss).producer);
    EXPECT_EQ(graph.shape(loss.inputs[0]), (Shape{2, 3}));
  }
}

TEST(Loss, CrossEntropyRefusesAClassForEachPixel) {
  Graph graph;
  const ValueId x = graph.add_input("x", {DType::kFloat32, {2, 3, 4, 4}}, {0, 1});
  EXPECT_THROW(add_loss(graph, Loss::kCrossEntropy, x), Error);
}

}  // namespace
}  // namespace batchwise

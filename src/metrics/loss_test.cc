// SPDX-License-Identifier: Apache-2.0
#include "metrics/loss.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace batchwise

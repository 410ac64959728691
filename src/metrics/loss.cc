// SPDX-License-Identifier: Apache-2.0
#include "metrics/loss.h"

#include <algorithm>

#include "base/check.h"

namespace batchwise {
namespace {

// The value that a trailing softmax over the last axis normalizes, or the output itself.
ValueId logits_of(const Graph& graph, ValueId output) {
  const NodeId id = graph.value(output).producer;
  if (id == kNoNode) return output;
  const Node& node = graph.node(id);
  if (node.op != "Softmax" && node.op != "LogSoftmax") return output;
  const int rank = graph.shape(output).rank();
  return NodeView(graph, node).axis("axis", -1, rank) == 1 ? node.inputs[0] : output;
}

// [N, C, 1, 1] is [N, C]: what models that end in a pooling or a 1x1 convolution answer.
ValueId without_axes_of_one(GraphBuilder& build, ValueId logits) {
  const std::vector<std::int64_t> dims = build.shape(logits).dims();
  const bool flat =
      dims.size() > 2 && std::all_of(dims.begin() + 2, dims.end(), [](auto d) { return d == 1; });
  return flat ? build.op("Flatten", {logits}, {{"axis", std::int64_t{1}}}) : logits;
}

// Labels have a batch where what the model reads has one: in some models it is burnt in.
BatchAxis batch_of_labels(const Graph& graph) {
  const auto burnt_in = [&](ValueId id) { return graph.value(id).batch.axis < 0; };
  const bool fixed =
      !graph.inputs.empty() && std::all_of(graph.inputs.begin(), graph.inputs.end(), burnt_in);
  return fixed ? BatchAxis{} : BatchAxis{0, 1};
}

}  // namespace

Loss parse_loss(const std::string& name) {
  if (name == "cross-entropy") return Loss::kCrossEntropy;
  if (name == "mse") return Loss::kMeanSquaredError;
  fail_input("--loss", "{} is unknown; there are cross-entropy and mse", name);
}

LossNodes add_loss(Graph& graph, Loss loss, ValueId output) {
  GraphBuilder build(graph);
  const BatchAxis batch = batch_of_labels(graph);
  const TensorType type = graph.type(output);
  if (loss == Loss::kMeanSquaredError) {
    const ValueId labels = graph.add_input("labels", type, batch);
    return {labels, build.op("MeanSquaredError", {output, labels})};
  }
  const ValueId logits = without_axes_of_one(build, logits_of(graph, output));
  if (graph.shape(logits).rank() != 2) {
    throw Error(ErrorCode::kInvalidInput,
                fmt::format("[loss] cross-entropy wants an output of [samples, classes], not {}",
                            graph.shape(logits).to_string()),
                "--output names another output, --loss mse another loss");
  }
  const ValueId labels =
      graph.add_input("labels", {DType::kInt64, Shape{graph.shape(logits)[0]}}, batch);
  return {labels, build.op("CrossEntropy", {logits, labels})};
}

}  // namespace batchwise

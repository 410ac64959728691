// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <vector>

#include "graph/graph.h"

namespace batchwise {

// What passes may ask of the engine, so that they know no backend.
struct Evaluator {
  // Can the outputs of a node be computed now?
  std::function<bool(const Graph&, NodeId)> can_evaluate;
  // Its outputs. Requires: can_evaluate.
  std::function<std::vector<Tensor>(const Graph&, NodeId)> evaluate;
};

// The same graph for `batch` samples: the inputs' batch axes get that size, all types are inferred
// again, and what only depends on shapes (Shape, and integer arithmetic on it) becomes constant on
// the way. Throws Error naming the node where a shape does not follow.
Graph bind_batch(const Graph& graph, std::int64_t batch, const Evaluator& evaluator);

// Makes a graph whose inputs have a batch of 1 burnt in run at any batch: input axis 0 becomes the
// batch axis, and constants that carry the 1 (a Reshape's target) are freed by their op's rule.
// Returns an empty string, or why the proof failed, naming the node; the graph is then unchanged.
std::string free_batch(Graph& graph, const Evaluator& evaluator);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string>
#include <vector>

#include "ops/builder.h"

namespace batchwise {

struct GradientSeed {
  ValueId value;     // a value of the graph
  ValueId gradient;  // its given gradient: another value, of the same shape
};

// Appends the nodes that compute the gradients of the seeds with respect to each value in `wrt`
// (reverse mode). contributions[i] lists one value for each use of wrt[i], each of wrt[i]'s shape;
// their sum is the gradient. It is empty where the seeds do not depend on wrt[i].
// Throws Error naming the op where one on the way is not differentiable.
std::vector<std::vector<ValueId>> add_gradients(Graph& graph, std::span<const GradientSeed> seeds,
                                                std::span<const ValueId> wrt);

// Adds `values` (at least one) from left to right and returns the sum.
ValueId sum_values(GraphBuilder& build, std::span<const ValueId> values);

// An accumulator that a training graph keeps between micro-batches.
struct Accumulator {
  ValueId state;  // the state value, named "gradient.<name>" or "gradient.<name>.<use>"
  int parameter;  // index into wrt
};

// Gives every contribution an accumulator of its own, so that sums over samples continue from one
// micro-batch to the next: the order of samples is then the only order of summation, and no result
// depends on where the batch is cut. Returns them in order of parameters and uses.
// `single_sample` is set where a contribution is not made by an accumulating op: then only a
// micro-batch of one sample keeps that promise.
std::vector<Accumulator> attach_accumulators(Graph& graph,
                                             const std::vector<std::vector<ValueId>>& contributions,
                                             std::span<const std::string> names,
                                             bool* single_sample);

}  // namespace batchwise

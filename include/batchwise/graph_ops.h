// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "batchwise/dtype.h"
#include "batchwise/export.h"

namespace batchwise {

class GraphBuilder;

// A value of a graph that is being built.
struct GraphValue {
  std::int32_t id = -1;
};

// Public op functions: what losses and metrics of one's own are made of. They become part of the
// training program, with gradients, kernels and planned memory like everything else.
//
//   [](GraphOps& ops, GraphValue output, GraphValue labels) {
//     return ops.mean(ops.abs(ops.subtract(output, labels)));   // [N, ...] to [N]
//   }
//
// Shapes broadcast as NumPy's. All throw Error where shapes or types do not fit.
class BATCHWISE_API GraphOps {
 public:
  explicit GraphOps(GraphBuilder& builder) : builder_(&builder) {}

  GraphValue add(GraphValue a, GraphValue b);
  GraphValue subtract(GraphValue a, GraphValue b);
  GraphValue multiply(GraphValue a, GraphValue b);
  GraphValue divide(GraphValue a, GraphValue b);
  GraphValue exp(GraphValue x);
  GraphValue log(GraphValue x);
  GraphValue sqrt(GraphValue x);
  GraphValue abs(GraphValue x);
  GraphValue relu(GraphValue x);
  GraphValue tanh(GraphValue x);
  GraphValue sigmoid(GraphValue x);
  GraphValue softmax(GraphValue x);      // over the last axis
  GraphValue log_softmax(GraphValue x);  // over the last axis
  // Over all axes but the first: [N, ...] to [N].
  GraphValue sum(GraphValue x);
  GraphValue mean(GraphValue x);
  GraphValue max(GraphValue x);
  // The built-in losses: [N, C] and int64 [N] to [N]; two of [N, ...] to [N].
  GraphValue cross_entropy(GraphValue logits, GraphValue labels);
  GraphValue mean_squared_error(GraphValue prediction, GraphValue target);
  GraphValue constant(double value);
  // Any op row by name, with integer attributes: op("Transpose", {x}, {{"perm", {1, 0}}}).
  GraphValue op(const std::string& name, const std::vector<GraphValue>& inputs,
                const std::map<std::string, std::vector<std::int64_t>>& attributes = {});

  std::vector<std::int64_t> shape(GraphValue x) const;

 private:
  GraphValue reduce(const std::string& name, GraphValue x);
  GraphBuilder* builder_;
};

// One number a sample, [N], from the model's output and the labels.
using SampleFunction = std::function<GraphValue(GraphOps&, GraphValue output, GraphValue labels)>;

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "ops/op.h"

namespace batchwise {

// Appends typed nodes to a graph: the one way in which code builds graph.
class GraphBuilder {
 public:
  explicit GraphBuilder(Graph& graph) : graph_(graph) {}

  Graph& graph() { return graph_; }
  const Shape& shape(ValueId id) const { return graph_.shape(id); }
  DType dtype(ValueId id) const { return graph_.type(id).dtype; }

  // Appends a node with one output and returns that. Throws Error where types do not fit.
  ValueId op(const std::string& name, std::vector<ValueId> inputs, Attributes attributes = {});
  // The same with `num_outputs` outputs.
  std::vector<ValueId> ops(const std::string& name, std::vector<ValueId> inputs,
                           Attributes attributes, int num_outputs);
  // A constant of floating-point type `dtype` and rank 0.
  ValueId scalar(double value, DType dtype);
  ValueId int64s(const std::vector<std::int64_t>& values);
  // `value` summed down to `shape` (the reverse of broadcasting), by the accumulating op SumTo;
  // `value` itself where the shapes are equal.
  ValueId sum_to(ValueId value, const Shape& shape);
  // Nodes made from now on are named `prefix` + op + number.
  void set_prefix(std::string prefix) { prefix_ = std::move(prefix); }

 private:
  Graph& graph_;
  std::string prefix_;
};

}  // namespace batchwise

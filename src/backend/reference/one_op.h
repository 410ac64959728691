// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "backend/reference/interpreter.h"
#include "ops/builder.h"

namespace batchwise::reference {

// For tests: one op on given tensors, run by the interpreter. Inputs named in `states` are states,
// and `after` holds their values after the run, in that order.
struct OneOp {
  std::vector<Tensor> outputs;
  std::vector<Tensor> after;

  OneOp(const std::string& op, const std::vector<Tensor>& tensors,
        const Attributes& attributes = {}, int num_outputs = 1, const std::vector<int>& states = {},
        const RunState& run = {}) {
    Graph graph;
    std::vector<ValueId> inputs;
    std::vector<Tensor> given;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      inputs.push_back(add(graph, tensors[i], static_cast<int>(i), states, given));
    }
    graph.outputs = GraphBuilder(graph).ops(op, inputs, attributes, num_outputs);
    std::map<ValueId, Tensor> memory;
    outputs = interpret(graph, given, &memory, run);
    for (int state : states) after.push_back(memory.at(inputs[static_cast<std::size_t>(state)]));
  }

  template <typename T>
  std::vector<double> values(std::size_t output = 0) const {
    return as_doubles<T>(outputs[output]);
  }
  template <typename T>
  static std::vector<double> as_doubles(const Tensor& tensor) {
    const std::span<const T> values = tensor.values<T>();
    return {values.begin(), values.end()};
  }

 private:
  static ValueId add(Graph& graph, const Tensor& tensor, int i, const std::vector<int>& states,
                     std::vector<Tensor>& given) {
    if (tensor.dtype() == DType::kUndefined) return kNoValue;
    const TensorType type{tensor.dtype(), tensor.shape()};
    const std::string name = fmt::format("x{}", i);
    for (int state : states) {
      if (state == i) return graph.add_state(name, type, tensor);
    }
    given.push_back(tensor);
    return graph.add_input(name, type);
  }
};

}  // namespace batchwise::reference

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <span>
#include <vector>

#include "backend/kernel.h"

namespace batchwise::reference {

// Runs a graph node by node with reference kernels, one buffer a value: the deliberately simple
// path against which everything faster is checked. Returns the graph's outputs. Requires: no node
// has an epilogue.
//
// `states` holds the states by id; one that it lacks starts from its initial value, or zeros. Ops
// that update a state, and accumulators, write the new value there. Null: states start afresh and
// are forgotten.
std::vector<Tensor> interpret(const Graph& graph, std::span<const Tensor> inputs,
                              std::map<ValueId, Tensor>* states = nullptr,
                              const RunState& state = {});

// Can the node's outputs be computed now: every input constant, or its result a matter of types?
// Ops that depend on the run (random ones, those with an effect) cannot.
bool can_evaluate(const Graph& graph, NodeId id);

// The outputs of such a node. An output that is absent gives an empty tensor.
std::vector<Tensor> evaluate_node(const Graph& graph, NodeId id);

}  // namespace batchwise::reference

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "graph/graph.h"

namespace batchwise {

// Large constants (a weight times a folded scale) stay expressions until a program wants their
// value, so that loading never holds more than one of them beside what stays.

// Which values are constants or computed from constants alone.
std::vector<bool> find_constant_values(const Graph& graph);

// The value of a constant expression, by the reference kernels.
Tensor evaluate_constant(const Graph& graph, ValueId id);

// Names a constant expression: equal for equal values among the graphs of one model.
std::string constant_key(const Graph& graph, ValueId id);

// The most bytes that evaluating it takes on the heap.
std::int64_t load_cost(const Graph& graph, ValueId id);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "engine/backends.h"
#include "graph/graph.h"

namespace batchwise {

// Decides for each value whether it lies row-major or channels-last, as the kernels that will take
// the nodes like it, and inserts Reorder nodes between. Graph inputs and outputs stay row-major.
void assign_layouts(Graph& graph, int threads, BackendChoice choice);

// Whether the two layouts of a shape differ at all: they do not with one channel or one position.
bool layout_matters(const Shape& shape);

// Is the node a transpose that reads a channels-last value in the order in which it lies? It then
// moves nothing: gradients of biases are summed so.
bool is_free_transpose(const Graph& graph, const Node& node);

}  // namespace batchwise

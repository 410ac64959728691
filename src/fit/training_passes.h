// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "engine/backends.h"
#include "graph/graph.h"

namespace batchwise {

// The passes that are right for a graph with gradients: those that change no weight.
void run_training_passes(Graph& graph, int threads, BackendChoice choice);

}  // namespace batchwise

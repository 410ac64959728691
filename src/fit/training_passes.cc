// SPDX-License-Identifier: Apache-2.0
#include "fit/training_passes.h"

#include "engine/model.h"

namespace batchwise {

void run_training_passes(Graph& graph, int threads, BackendChoice choice) {
  run_engine_passes(graph, true, threads, choice, {});
}

}  // namespace batchwise

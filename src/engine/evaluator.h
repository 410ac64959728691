// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "passes/bind_batch.h"

namespace batchwise {

// What passes ask of the engine: constants by the reference kernels.
const Evaluator& engine_evaluator();

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "ops/builder.h"

namespace batchwise {

enum class Loss : std::uint8_t { kCrossEntropy, kMeanSquaredError };

// "cross-entropy" or "mse". Throws Error naming what there is.
Loss parse_loss(const std::string& name);

// A loss as part of a graph.
struct LossNodes {
  ValueId labels;  // the input that was added: int64 [N], or the output's type for mse
  ValueId loss;    // [N], one a sample
};

// Adds the loss of `output` against a new input "labels". A trailing Softmax or LogSoftmax under a
// cross-entropy is passed over: the loss is computed from what goes into it, which is the same
// number with fewer roundings. Classes with axes of 1 behind them ([N, C, 1, 1]) are taken as [N,
// C].
LossNodes add_loss(Graph& graph, Loss loss, ValueId output);

}  // namespace batchwise

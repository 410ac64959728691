// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>

#include "serve/request.h"

namespace batchwise::serve {

// What is wrong with a request that a protocol has filled; nothing where it may be handed in. One
// tensor for each input of the model and once, each of `rows` rows, rows within the model's limit,
// outputs that exist.
std::optional<Refusal> check_request(const InferenceRequest& request);

// The rows of a tensor of this shape, or what is wrong with it: the rank, and all dimensions but
// the first, must be those of `spec`; one that is -1 there may be anything from 1.
struct RowsOrRefusal {
  std::int64_t rows = 0;
  std::optional<Refusal> refusal;
};
RowsOrRefusal check_shape(const ModelInfo& model, const TensorSpec& spec,
                          std::span<const std::int64_t> shape);

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>

#include "serve/request.h"

namespace inference {
class ModelInferRequest;
}

// What clients say of a request and its tensors beside names and shapes.
namespace batchwise::serve {

// `timeout` (microseconds) and `priority` go into the request. What would give another result than
// the one asked for is refused: sequences, shared memory, classification. Other names mean nothing
// here and are passed over, as the protocol wants it.
std::optional<Refusal> decode_parameters(const inference::ModelInferRequest& message,
                                         InferenceRequest& request);

// Whether the client of a stream wants to be told which answer is the last of its request.
bool wants_final_flag(const inference::ModelInferRequest& message);

}  // namespace batchwise::serve

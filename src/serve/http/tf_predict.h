// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "serve/http/message.h"
#include "serve/request.h"

// TensorFlow Serving's REST predict, row ("instances") and column ("inputs") format.
namespace batchwise::serve {

struct TfExchange {
  bool rows = true;               // the answer has "predictions", else "outputs"
  std::vector<std::byte> values;  // where the request's tensors lie
};

// Reads a body into `request`, whose model is set. Requires 64 readable bytes after the body.
std::optional<Refusal> read_tf_request(std::span<const std::byte> body, InferenceRequest& request,
                                       TfExchange& exchange);

// Writes the answer to a reply that has outputs.
void write_tf_response(const InferenceRequest& request, const TfExchange& exchange,
                       const Reply& reply, Response& response);

}  // namespace batchwise::serve

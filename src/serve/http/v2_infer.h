// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "serve/http/message.h"
#include "serve/request.h"

// Inference over the Open Inference Protocol's REST, with the binary tensor data extension.
namespace batchwise::serve {

// How the answer is wanted, and where numbers that came as JSON lie. Kept with its request, and
// used again.
struct V2Exchange {
  bool binary_default = false;
  std::vector<std::uint8_t> binary;  // by InferenceRequest::outputs; empty: binary_default for all
  std::vector<std::byte> values;
};

// Reads a body into `request`, whose model is set. Bytes of binary tensors stay in `body`.
// `inference_length`: the bytes of JSON at the body's begin where the header says so, 0 for a raw
// request. Requires 64 readable bytes after the body. Nothing throws but for want of memory.
std::optional<Refusal> read_v2_request(std::span<const std::byte> body,
                                       std::optional<std::uint64_t> inference_length,
                                       InferenceRequest& request, V2Exchange& exchange);

// Writes the answer to a reply that has outputs, which the response points to from then on.
void write_v2_response(const InferenceRequest& request, const V2Exchange& exchange, Reply&& reply,
                       Response& response);

}  // namespace batchwise::serve

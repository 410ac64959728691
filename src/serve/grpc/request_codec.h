// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "serve/request.h"

// Protobuf messages to what the server takes, and back. Pure functions: no sockets, no gRPC.
namespace inference {
class ModelInferRequest;
class ModelInferResponse;
}  // namespace inference

namespace batchwise::serve {

// Where the numbers of `contents` go that protobuf widens (INT8, UINT16, ...), a buffer an input;
// kept to be used again.
using NarrowedContents = std::vector<std::vector<std::byte>>;

// Fills `request`, whose model is set, from the message; nothing where it may be handed in. The
// tensors' bytes lie in the message or in `narrowed`, so both stay until the reply.
std::optional<Refusal> decode_request(const inference::ModelInferRequest& message,
                                      NarrowedContents& narrowed, InferenceRequest& request);

// A reply as it goes over the wire, less the bytes of the outputs: text up to ends[0], the bytes of
// output 0, text up to ends[1], the bytes of output 1, and so on; with no outputs, all of the text.
struct EncodedReply {
  std::string text;
  std::vector<std::size_t> ends;
  std::size_t total_bytes = 0;  // with the outputs
};

enum class ReplyMessage {
  kInferResponse,  // a ModelInferResponse
  kStreamResponse  // the same within a ModelStreamInferResponse
};
// `scratch` is any message, used as room. `is_last` adds what Triton's clients ask for in streams,
// the parameter triton_final_response.
void encode_reply(const InferenceRequest& request, const Reply& reply, ReplyMessage kind,
                  bool is_last, inference::ModelInferResponse& scratch, EncodedReply& into);

// A ModelStreamInferResponse with an error.
std::string encode_stream_error(const Refusal& refusal, const std::string& id,
                                const std::string& model_name);

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/infer_client.h"

// The Open Inference Protocol's bodies over REST, as a client writes and reads them.
namespace batchwise {

struct V2Body {
  std::string bytes;
  std::size_t json_bytes = 0;  // the rest is tensors; equal to the size where all is JSON
};

// Throws Error{kInvalidInput} for a type that the encoding cannot carry (JSON has neither NaN nor
// 16-bit floats).
V2Body encode_infer_request(const InferCall& call, bool binary);

// The outputs of a reply, with what their bytes lie in. Movable, and the tensors stay valid.
struct V2Outputs {
  std::vector<NamedTensor> tensors;
  std::vector<std::vector<std::byte>> numbers;  // those that came as JSON
};

// `json_bytes` -1: all of the body is JSON. The binary tensors point into `body`. Throws
// Error{kEnvironment} where it is no such reply: no JSON, a type that is none, sizes that disagree.
V2Outputs decode_infer_reply(std::string_view body, std::int64_t json_bytes);

// Throw Error{kEnvironment} where the body is none.
RemoteModel decode_model_metadata(std::string_view body);
std::optional<RemoteStatistics> decode_statistics(std::string_view body, const std::string& model,
                                                  const std::string& version);

// The message of {"error": "..."}, or the body's first line, shortened to a readable length.
std::string error_message(std::string_view body);

// Percent-encoded, for a segment of a path.
std::string encode_path_segment(std::string_view text);

}  // namespace batchwise

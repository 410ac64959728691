// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <optional>

#include "serve/request.h"

namespace google::protobuf {
class MessageLite;
}
namespace grpc {
class ByteBuffer;
}

namespace batchwise::serve {

// Reads what came over the wire. gRPC would decompress a message whole before it looks at its size;
// here it is refused as soon as it exceeds `most_bytes`.
std::optional<Refusal> read_message(const grpc::ByteBuffer& bytes, std::size_t most_bytes,
                                    google::protobuf::MessageLite& into);

}  // namespace batchwise::serve

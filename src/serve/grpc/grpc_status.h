// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>

#include "serve/request.h"

namespace grpc {
class Status;
class CallbackServerContext;
}  // namespace grpc

namespace batchwise::serve {

// The one place where a refusal becomes gRPC's. A hint of when to come back goes into the trailing
// metadata, as `retry-after` in seconds; `context` may be null.
grpc::Status grpc_status(const Refusal& refusal, grpc::CallbackServerContext* context);

// For a call whose key is missing or unknown.
grpc::Status unauthenticated_status();

// A message that fits into the headers of a reply, however long the names that clients send: cut,
// at a character's border.
std::string shortened(std::string_view message, std::size_t most_bytes = 1000);

}  // namespace batchwise::serve

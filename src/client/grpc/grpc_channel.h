// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>

#include "client/infer_client.h"

namespace grpc {
class Channel;
}

namespace batchwise {

// "ipv4 or name:port", or "unix:/path", as gRPC wants it.
std::string grpc_target(const ClientOptions& options);

// A channel with a connection of its own; it connects when it is first used. Throws
// Error{kInvalidInput} for a certificate file that cannot be read.
std::shared_ptr<grpc::Channel> make_channel(const ClientOptions& options);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "serve/frontend.h"

namespace batchwise::serve {

class Server;

// Listens for gRPC: the inference service, the standard health service and, where wanted,
// reflection. Throws Error{kInvalidInput} for options that make no sense, Error{kEnvironment} for
// an address that cannot be had.
std::unique_ptr<Frontend> make_grpc_frontend(Server& server, const GrpcOptions& options);

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "client/infer_client.h"

namespace batchwise {

// A v2 server over gRPC, many requests at a time on each connection: `max_connections` means
// nothing here. Over TCP, TLS or a Unix socket. Throws Error{kInvalidInput} for a certificate file
// that is none.
std::unique_ptr<InferClient> make_grpc_client(const ClientOptions& options);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "client/infer_client.h"
#include "serve/frontend.h"

namespace batchwise {

// Opens libbatchwise_grpc.so, which lies beside the library, and listens with it. Throws Error
// where it cannot be opened, and what the module throws.
std::unique_ptr<serve::Frontend> open_grpc_frontend(serve::Server& server,
                                                    const serve::GrpcOptions& options);
// And asks with it.
std::unique_ptr<InferClient> open_grpc_client(const ClientOptions& options);

}  // namespace batchwise

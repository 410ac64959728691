// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "serve/frontend.h"

namespace batchwise {

// Opens libbatchwise_grpc.so, which lies beside the library, and listens with it. Throws Error
// where it cannot be opened, and what the module throws.
std::unique_ptr<serve::Frontend> open_grpc_frontend(serve::Server& server,
                                                    const serve::GrpcOptions& options);

}  // namespace batchwise

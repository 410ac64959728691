// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/frontend.h"

// What `serve` looks up in the module, batchwise::serve::kGrpcFrontendSymbol.
extern "C" __attribute__((visibility("default"))) batchwise::serve::Frontend*
batchwise_make_grpc_frontend(batchwise::serve::Server& server,
                             const batchwise::serve::GrpcOptions& options) {
  return batchwise::serve::make_grpc_frontend(server, options).release();
}

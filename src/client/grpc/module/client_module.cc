// SPDX-License-Identifier: Apache-2.0
#include "client/grpc/grpc_client.h"

// What the load generator looks up in the module, batchwise::kMakeGrpcClientName.
extern "C" __attribute__((visibility("default"))) batchwise::InferClient*
batchwise_make_grpc_client(const batchwise::ClientOptions& options) {
  return batchwise::make_grpc_client(options).release();
}

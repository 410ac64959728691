// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>

#include "serve/frontend_options.h"

namespace grpc {
class ServerBuilder;
class ServerCredentials;
}  // namespace grpc

// Where and how gRPC listens. Throw Error{kInvalidInput} for options that make no sense.
namespace batchwise::serve {

// As gRPC wants it.
std::string listen_address(const FrontendOptions& options);
// For people, with the port that was got.
std::string bound_address(const FrontendOptions& options, int port);
// Plain, or TLS with the PEM files of the options; Error{kEnvironment} where they cannot be read.
std::shared_ptr<grpc::ServerCredentials> listen_credentials(const FrontendOptions& options);
// Sizes and times of messages and connections.
void set_limits(const FrontendOptions& options, grpc::ServerBuilder& builder);

}  // namespace batchwise::serve

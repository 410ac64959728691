// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>

#include "serve/frontend_options.h"

namespace batchwise::serve {

class Server;

// A protocol that listens from its construction on. The server outlives it. Stopped in this order:
// stop_accepting() of all frontends, Server's drain, finish() of all frontends.
class Frontend {
 public:
  virtual ~Frontend() = default;
  // Where it listens, with the port that it got: "127.0.0.1:8000", "unix:/path".
  virtual std::string address() const = 0;
  // No new connections, and no new requests on those that are there; does not wait.
  virtual void stop_accepting() = 0;
  // Waits until all replies have been written, at most for the body timeout, then closes what is
  // open and joins all threads. Nothing of the server is called afterwards.
  virtual void finish() = 0;
};

// What the module of gRPC exports by this name. Throws Error{kInvalidInput} for options that make
// no sense and Error{kEnvironment} for an address that cannot be had; the caller owns what it gets.
inline constexpr const char* kGrpcFrontendSymbol = "batchwise_make_grpc_frontend";
using MakeGrpcFrontend = Frontend* (*)(Server& server, const GrpcOptions& options);

}  // namespace batchwise::serve

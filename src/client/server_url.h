// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "client/infer_client.h"

namespace batchwise {

enum class ClientProtocol : std::uint8_t { kHttp, kGrpc };

// "http://127.0.0.1:8000", "https://host", "grpc://host:8001", "grpcs://host:8001",
// "unix:/run/server.sock", or "host:port": sets where the server is in `options`. Throws
// Error{kInvalidInput} for what is none.
ClientProtocol parse_server_url(const std::string& url, ClientOptions& options);

// As a person reads it: "127.0.0.1:8000", or the socket's path.
std::string server_name(const ClientOptions& options);

}  // namespace batchwise

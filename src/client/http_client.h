// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "client/infer_client.h"

namespace batchwise {

// A v2 server over HTTP/1.1, one request at a time on each connection, over TCP, TLS or a Unix
// socket. Throws Error{kInvalidInput} for a certificate file that is none.
std::unique_ptr<InferClient> make_http_client(const ClientOptions& options);

}  // namespace batchwise

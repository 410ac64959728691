// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace batchwise::serve {

// How a protocol listens. A plain value; the command line has checked nothing of it.
struct FrontendOptions {
  // "127.0.0.1:8000", "[::1]:8000" or "unix:/path"; port 0: any that is free.
  std::string address;
  // PEM files; both or neither. Without them the connection is plain.
  std::string tls_certificate, tls_key;
  std::vector<std::string> api_keys;  // empty: everybody may ask
  std::int64_t max_body_bytes = 64 << 20;
  int max_connections = 12'000;  // beyond these, new ones are turned away
  double idle_timeout_s = 75;    // of a connection between two requests
  double body_timeout_s = 20;    // for a request to come whole, and for a reply to be taken
  int threads = 1;               // that read and write
};

struct HttpOptions : FrontendOptions {
  bool dashboard = true;  // the page at "/"
};

struct GrpcOptions : FrontendOptions {
  bool reflection = true;
};

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/listen.h"

#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>

#include "base/check.h"

namespace batchwise::serve {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

bool is_unix(const std::string& address) { return address.rfind(kUnixPrefix, 0) == 0; }

// "127.0.0.1:8001" to 127.0.0.1 and 8001.
std::pair<std::string, int> split_address(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  const std::string text = colon == std::string::npos ? "" : address.substr(colon + 1);
  const bool is_number = !text.empty() && text.size() <= 5 &&
                         std::all_of(text.begin(), text.end(),
                                     [](char digit) { return digit >= '0' && digit <= '9'; });
  const int port = is_number ? std::stoi(text) : -1;
  if (colon == 0 || port < 0 || port > 65'535) {
    fail_input("serve", "the address of gRPC is HOST:PORT or unix:PATH, not \"{}\"", address);
  }
  return {address.substr(0, colon), port};
}

std::string read_pem(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) fail_environment("serve", "{}: cannot be read", path);
  if (text.str().find("-----BEGIN ") == std::string::npos) {
    fail_input("serve", "{}: no PEM file", path);
  }
  return text.str();
}

int milliseconds(double seconds) {
  constexpr double kMost = std::numeric_limits<int>::max();
  return static_cast<int>(std::clamp(seconds * 1e3, 1.0, kMost));
}

}  // namespace

std::string listen_address(const FrontendOptions& options) {
  if (is_unix(options.address)) {
    // The system's bound for a socket's path, less its end.
    constexpr std::size_t kMostPath = 107;
    const std::size_t length = options.address.size() - kUnixPrefix.size();
    if (length == 0 || length > kMostPath) {
      fail_input("serve", "a socket's path has 1 to {} characters, not {}: {}", kMostPath, length,
                 options.address);
    }
    return options.address;
  }
  split_address(options.address);
  return options.address;
}

std::string bound_address(const FrontendOptions& options, int port) {
  if (is_unix(options.address)) return options.address;
  return fmt::format("{}:{}", split_address(options.address).first, port);
}

std::shared_ptr<grpc::ServerCredentials> listen_credentials(const FrontendOptions& options) {
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    fail_input("serve", "TLS takes a certificate and a key: \"{}\", \"{}\"",
               options.tls_certificate, options.tls_key);
  }
  if (options.tls_certificate.empty()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions tls;
  tls.pem_key_cert_pairs.push_back({read_pem(options.tls_key), read_pem(options.tls_certificate)});
  return grpc::SslServerCredentials(tls);
}

void set_limits(const FrontendOptions& options, grpc::ServerBuilder& builder) {
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  if (options.max_body_bytes < 1) {
    fail_input("serve", "the largest message of gRPC has {} bytes", options.max_body_bytes);
  }
  builder.SetMaxReceiveMessageSize(static_cast<int>(std::min(options.max_body_bytes, kMost)));
  builder.SetMaxSendMessageSize(-1);  // outputs have the size that the model gives them
  // read_message() does it, within bounds.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  // Two servers on one port would share the connections, silently.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1024);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, milliseconds(options.idle_timeout_s));
  // A peer that has vanished without a word.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(options.idle_timeout_s));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds(options.body_timeout_s));
}

}  // namespace batchwise::serve

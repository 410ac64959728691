// SPDX-License-Identifier: Apache-2.0
#include "client/grpc/grpc_channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <fstream>
#include <sstream>

#include "base/check.h"

namespace batchwise {
namespace {

std::string read_certificates(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file || text.str().find("-----BEGIN ") == std::string::npos) {
    fail_input("client", "{}: no PEM file that can be read", path);
  }
  return text.str();
}

std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const ClientOptions& options) {
  if (!options.tls) return grpc::InsecureChannelCredentials();
  if (options.verify) {
    grpc::SslCredentialsOptions tls;
    if (!options.ca_file.empty()) tls.pem_root_certs = read_certificates(options.ca_file);
    return grpc::SslCredentials(tls);
  }
  using grpc::experimental::NoOpCertificateVerifier;
  grpc::experimental::TlsChannelCredentialsOptions any;
  any.set_verify_server_certs(false);
  any.set_check_call_host(false);
  any.set_certificate_verifier(std::make_shared<NoOpCertificateVerifier>());
  return grpc::experimental::TlsCredentials(any);
}

}  // namespace

std::string grpc_target(const ClientOptions& options) {
  constexpr int kPort = 8001;
  if (!options.unix_socket.empty()) return "unix:" + options.unix_socket;
  const bool is_ipv6 = options.host.find(':') != std::string::npos && options.host.front() != '[';
  return fmt::format(fmt::runtime(is_ipv6 ? "[{}]:{}" : "{}:{}"), options.host,
                     options.port == 0 ? kPort : options.port);
}

std::shared_ptr<grpc::Channel> make_channel(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // else channels share a connection
  return grpc::CreateCustomChannel(grpc_target(options), channel_credentials(options), arguments);
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "batchwise/serve.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <thread>

#include "api/grpc_module.h"
#include "base/check.h"
#include "serve/batching_server.h"
#include "serve/config/server_config.h"
#include "serve/frontend.h"
#include "serve/http/http_frontend.h"
#include "serve/listen_address.h"
#include "serve/log.h"

namespace batchwise {
namespace {

using serve::Frontend;
using serve::FrontendOptions;

serve::ServerOptions server_options(const ServeSettings& s) {
  serve::ServerOptions options;
  options.scheduler.policy = parse_policy(s.policy, "--policy");
  options.scheduler.preferred_rows = s.preferred_sizes;
  options.scheduler.max_queue_delay_us = s.queue_delay_us;
  if (s.queue_timeout_us > 0) options.scheduler.queue_timeout_us = s.queue_timeout_us;
  if (s.delay_at_timeout) options.scheduler.on_timeout = SchedulerOptions::OnTimeout::kDelay;
  options.scheduler.max_queue_requests = s.max_queue;
  options.p99_us = s.p99_us;
  options.instances = s.instances;
  options.threads = s.resources.threads;
  options.resources = s.resources;
  options.max_batch = s.max_batch;
  options.max_request_rows = s.max_request_rows;
  options.profile = s.profile;
  options.poll_files_s = s.poll_files_s;
  options.record = s.record;
  return options;
}

FrontendOptions frontend_options(const ServeSettings& s, const std::string& address,
                                 const char* flag) {
  FrontendOptions options;
  options.address = address;
  options.tls_certificate = s.tls_certificate;
  options.tls_key = s.tls_key;
  if (s.tls_certificate.empty() != s.tls_key.empty()) {
    fail_input("--tls-certificate", "it needs --tls-key beside it, and the other way round");
  }
  if (!s.api_keys.empty()) options.api_keys = serve::read_api_keys(s.api_keys);
  options.max_body_bytes = s.max_body_bytes;
  options.max_connections = s.max_connections;
  options.threads = s.io_threads;
  if (serve::is_local_address(address, flag)) return options;
  if (!s.allow_remote) {
    throw Error(ErrorCode::kInvalidInput,
                fmt::format("[{}] other machines can reach {}", flag, address),
                "add --allow-remote to mean it");
  }
  if (options.api_keys.empty()) {
    serve::log_event(serve::LogLevel::kWarning, "open_to_all",
                     {{"address", address}, {"hint", "give --api-keys"}});
  }
  return options;
}

void add_models(serve::BatchingServer& server, const ServeSettings& s) {
  if (s.models.empty() && s.folder.empty()) fail_input("serve", "there is no model to serve");
  for (const std::string& word : s.models) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) {
      server.add_model(std::filesystem::path(word).stem().string(), word);
    } else {
      server.add_model(word.substr(0, equals), word.substr(equals + 1));
    }
  }
  if (!s.folder.empty()) server.add_folder(s.folder);
}

std::unique_ptr<Frontend> make_http(serve::Server& server, const ServeSettings& s) {
  serve::HttpOptions options;
  static_cast<FrontendOptions&>(options) = frontend_options(s, s.http, "--http");
  return serve::make_http_frontend(server, options);
}

std::unique_ptr<Frontend> make_grpc(serve::Server& server, const ServeSettings& s) {
  serve::GrpcOptions options;
  static_cast<FrontendOptions&>(options) = frontend_options(s, s.grpc, "--grpc");
  return open_grpc_frontend(server, options);
}

}  // namespace

void serve_models(const ServeSettings& settings,
                  const std::function<void(const ServeAddresses&)>& on_ready,
                  const std::function<bool()>& should_stop) {
  serve::set_log_level(serve::parse_log_level(settings.log_level, "--log-level"));
  serve::BatchingServer server(server_options(settings));
  add_models(server, settings);
  ServeAddresses addresses;
  std::vector<std::unique_ptr<Frontend>> frontends;
  // They listen while models load, and say that they are not ready.
  if (!settings.http.empty()) {
    frontends.push_back(make_http(server, settings));
    addresses.http = frontends.back()->address();
  }
  if (!settings.grpc.empty()) {
    frontends.push_back(make_grpc(server, settings));
    addresses.grpc = frontends.back()->address();
  }
  server.wait_ready();
  for (const serve::IndexEntry& entry : server.index(true)) addresses.models.push_back(entry.name);
  on_ready(addresses);
  while (!should_stop()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  serve::log_event(serve::LogLevel::kInfo, "draining");
  for (const auto& frontend : frontends) frontend->stop_accepting();
  server.drain();
  for (const auto& frontend : frontends) frontend->finish();
}

std::vector<ServeFlag> read_serve_config(const std::string& path) {
  std::vector<ServeFlag> flags;
  for (const serve::ConfigEntry& entry : serve::read_server_config(path)) {
    flags.push_back({entry.flag, entry.values});
  }
  return flags;
}

}  // namespace batchwise

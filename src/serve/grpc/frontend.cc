// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/frontend.h"

#include <fmt/format.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "serve/grpc/grpc_log.h"
#include "serve/grpc/inference_call.h"
#include "serve/grpc/listen.h"
#include "serve/grpc/service.h"
#include "serve/grpc/stream_calls.h"
#include "serve/server.h"

namespace batchwise::serve {
namespace {

using namespace std::chrono_literals;

constexpr const char* kServiceName = "inference.GRPCInferenceService";

// What gRPC needs of a process, once: before any server is made.
void enable_plugins() {
  static const bool done = [] {
    grpc::EnableDefaultHealthCheckService(true);
    return true;
  }();
  static_cast<void>(done);
}

void enable_reflection() {
  static const bool done = [] {
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  static_cast<void>(done);
}

class GrpcFrontend final : public Frontend {
 public:
  GrpcFrontend(Server& server, const GrpcOptions& options)
      : body_timeout_s_(options.body_timeout_s),
        shared_(new CallShared{server, Access(options.api_keys),
                               static_cast<std::size_t>(options.max_body_bytes)}),
        service_(make_inference_service(shared_, streams_)) {
    enable_plugins();
    keep_quiet();
    if (options.reflection) enable_reflection();
    grpc::ServerBuilder builder;
    set_limits(options, builder);
    int port = 0;
    builder.AddListeningPort(listen_address(options), listen_credentials(options), &port);
    builder.RegisterService(service_.get());
    grpc_server_ = builder.BuildAndStart();
    if (!grpc_server_ || port == 0) {
      fail_environment("serve", "gRPC cannot listen on {}: {}", options.address,
                       last_system_error());
    }
    address_ = bound_address(options, port);
    set_serving(server.ready());
    if (!server.ready()) watch_ = std::thread([this] { wait_until_ready(); });
  }
  ~GrpcFrontend() override { finish(); }

  std::string address() const override { return address_; }

  // From here on calls are refused with UNAVAILABLE, which clients try elsewhere. gRPC's own
  // shutdown would answer those that come in meanwhile with CANCELLED, so that it waits for
  // finish().
  void stop_accepting() override {
    {
      const std::lock_guard lock(mutex_);
      if (shared_->stopping.exchange(true)) return;
    }
    changed_.notify_all();
    if (watch_.joinable()) watch_.join();
    set_serving(false);
    streams_.stop_all();
  }

  void finish() override {
    stop_accepting();
    if (!grpc_server_) return;
    wait_for_quiet();
    const auto patience =
        std::chrono::microseconds(static_cast<std::int64_t>(body_timeout_s_ * 1e6));
    grpc_server_->Shutdown(std::chrono::system_clock::now() + patience);
    grpc_server_.reset();
  }

 private:
  void set_serving(bool is_serving) {
    auto* health = grpc_server_->GetHealthCheckService();
    if (health == nullptr) return;
    health->SetServingStatus(is_serving);  // of the server as a whole
    health->SetServingStatus(kServiceName, is_serving);
  }

  // Who has just been answered asks again at once, and shall hear UNAVAILABLE: waits until nobody
  // was refused for a moment, but not for those who ask without end.
  void wait_for_quiet() const {
    constexpr int kMostMoments = 10;
    std::int64_t before = -1;
    for (int moment = 0; moment < kMostMoments; ++moment) {
      const std::int64_t refused = shared_->refused_while_stopping;
      if (refused == before) return;
      before = refused;
      std::this_thread::sleep_for(20ms);
    }
  }

  // The health service is told, not asked.
  void wait_until_ready() {
    std::unique_lock lock(mutex_);
    while (!shared_->stopping && !shared_->server.ready()) changed_.wait_for(lock, 20ms);
    if (!shared_->stopping) set_serving(true);
  }

  double body_timeout_s_;
  std::shared_ptr<CallShared> shared_;
  StreamCalls streams_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<grpc::Server> grpc_server_;
  std::string address_;
  std::thread watch_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace

std::unique_ptr<Frontend> make_grpc_frontend(Server& server, const GrpcOptions& options) {
  return std::make_unique<GrpcFrontend>(server, options);
}

}  // namespace batchwise::serve

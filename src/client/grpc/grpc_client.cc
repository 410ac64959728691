// SPDX-License-Identifier: Apache-2.0
#include "client/grpc/grpc_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <inference_proto/inference_service.grpc.pb.h>

#include <algorithm>
#include <chrono>
#include <unordered_set>

#include "base/check.h"
#include "client/grpc/grpc_channel.h"
#include "client/grpc/infer_messages.h"
#include "measure/sampling.h"

namespace batchwise {
namespace {

using Rpc = inference::GRPCInferenceService;

constexpr auto kPatience = std::chrono::seconds(10);  // for what the caller blocks on

double now_us() { return monotonic_seconds() * 1e6; }

struct PreparedGrpc final : PreparedInfer {
  grpc::ByteBuffer bytes;
  bool wants_outputs = false;
};

// A request that has been sent.
struct OpenCall {
  grpc::ClientContext context;
  grpc::ByteBuffer response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader;
  const PreparedGrpc* request = nullptr;
  std::uint64_t tag = 0;
  InferReplyHandler* handler = nullptr;  // null: forgotten
  double sent_us = 0;
};

// gRPC gives UNAVAILABLE for a server that says so and for one that cannot be reached; only its
// text for people tells which.
bool came_from_server(const OpenCall& call) {
  return call.context.debug_error_string().find("from peer") != std::string::npos;
}

InferStatus status_of(const OpenCall& call) {
  switch (call.status.error_code()) {
    case grpc::StatusCode::OK:
      return InferStatus::kOk;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return InferStatus::kRefused;
    case grpc::StatusCode::UNAVAILABLE:
      return came_from_server(call) ? InferStatus::kRefused : InferStatus::kLost;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return InferStatus::kExpired;
    default:
      return InferStatus::kFailed;
  }
}

class GrpcClient final : public InferClient {
 public:
  explicit GrpcClient(const ClientOptions& options) : options_(options) {
    for (int i = 0; i < std::max(options.connections, 1); ++i) {
      channels_.push_back(make_channel(options));
      stubs_.emplace_back(channels_.back());
    }
  }

  ~GrpcClient() override {
    forget();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) delete static_cast<OpenCall*>(tag);
  }

  void connect() override {
    for (const auto& channel : channels_) channel->GetState(true);
    for (const auto& channel : channels_) {
      if (channel->WaitForConnected(std::chrono::system_clock::now() + kPatience)) continue;
      fail_environment("client", "{} cannot be reached over gRPC", grpc_target(options_));
    }
  }

  RemoteModel model(const std::string& name, const std::string& version) override {
    inference::ModelMetadataRequest request;
    request.set_name(name);
    request.set_version(version);
    inference::ModelMetadataResponse response;
    const bool has_it = ask([&](Rpc::Stub& stub, grpc::ClientContext& context) {
      return stub.ModelMetadata(&context, request, &response);
    });
    if (!has_it) fail_input("client", "{}: tells nothing of models", grpc_target(options_));
    return decode_model(response);
  }

  std::optional<RemoteStatistics> statistics(const std::string& name,
                                             const std::string& version) override {
    inference::ModelStatisticsRequest request;
    request.set_name(name);
    request.set_version(version);
    inference::ModelStatisticsResponse response;
    const bool has_them = ask([&](Rpc::Stub& stub, grpc::ClientContext& context) {
      return stub.ModelStatistics(&context, request, &response);
    });
    if (!has_them) return std::nullopt;
    return decode_statistics(response);
  }

  std::unique_ptr<PreparedInfer> prepare(const InferCall& call) override {
    auto prepared = std::make_unique<PreparedGrpc>();
    const grpc::Slice slice(encode_infer_call(call));
    prepared->bytes = grpc::ByteBuffer(&slice, 1);
    prepared->wants_outputs = call.wants_outputs;
    return prepared;
  }

  void send(const PreparedInfer& request, std::uint64_t tag, InferReplyHandler& handler) override {
    auto* call = new OpenCall;  // of the queue, until it comes back
    open_.insert(call);
    call->request = static_cast<const PreparedGrpc*>(&request);
    call->tag = tag;
    call->handler = &handler;
    add_key(call->context);
    next_ = (next_ + 1) % stubs_.size();
    static const std::string kMethod = "/inference.GRPCInferenceService/ModelInfer";
    call->reader =
        stubs_[next_].PrepareUnaryCall(&call->context, kMethod, call->request->bytes, &queue_);
    call->sent_us = now_us();
    call->reader->StartCall();
    call->reader->Finish(&call->response, &call->status, call);
  }

  void wait(double until_us) override {
    constexpr int kMostReplies = 256;  // then the caller's turn
    bool has_handled = false;
    for (int i = 0; i < kMostReplies; ++i) {
      const double left_us = has_handled ? 0 : std::max(until_us - now_us(), 0.0);
      const gpr_timespec deadline =
          gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                       gpr_time_from_nanos(static_cast<std::int64_t>(std::min(left_us, 1e12) * 1e3),
                                           GPR_TIMESPAN));
      void* tag = nullptr;
      bool ok = false;
      if (queue_.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) return;
      finish(std::unique_ptr<OpenCall>(static_cast<OpenCall*>(tag)));
      has_handled = true;
    }
  }

  void forget() override {
    for (OpenCall* call : open_) {
      call->handler = nullptr;
      call->context.TryCancel();
    }
    open_.clear();
  }

 private:
  void add_key(grpc::ClientContext& context) const {
    if (!options_.api_key.empty())
      context.AddMetadata("authorization", "Bearer " + options_.api_key);
  }

  // False where the server does not know what is asked.
  template <typename Ask>
  bool ask(Ask&& body) {
    const auto stub = Rpc::NewStub(channels_[0]);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    add_key(context);
    const grpc::Status status = body(*stub, context);
    const std::string where = grpc_target(options_);
    switch (status.error_code()) {
      case grpc::StatusCode::OK:
        return true;
      case grpc::StatusCode::UNIMPLEMENTED:
        return false;
      case grpc::StatusCode::NOT_FOUND:
      case grpc::StatusCode::INVALID_ARGUMENT:
      case grpc::StatusCode::UNAUTHENTICATED:
      case grpc::StatusCode::PERMISSION_DENIED:
        fail_input("client", "{}: {}", where, status.error_message());
      default:
        fail_environment("client", "{}: {} (gRPC status {})", where, status.error_message(),
                         static_cast<int>(status.error_code()));
    }
  }

  void finish(std::unique_ptr<OpenCall> call) {
    if (call->handler == nullptr) return;
    open_.erase(call.get());
    InferReply reply;
    reply.received_us = now_us();
    reply.sent_us = call->sent_us;
    reply.status = status_of(*call);
    reply.code = reply.status == InferStatus::kLost ? 0 : call->status.error_code();
    const std::string message = call->status.error_message();
    reply.message = message;
    inference::ModelInferResponse response;
    std::optional<std::vector<NamedTensor>> outputs;
    if (reply.status == InferStatus::kOk && call->request->wants_outputs) {
      grpc::ProtoBufferReader reader(&call->response);
      if (response.ParseFromZeroCopyStream(&reader)) outputs = decode_outputs(response);
      if (outputs) {
        reply.outputs = *outputs;
      } else {
        reply.status = InferStatus::kFailed;
        reply.message = "the reply is no ModelInferResponse";
      }
    }
    call->handler->on_reply(call->tag, reply);
  }

  ClientOptions options_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<grpc::GenericStub> stubs_;  // one a channel
  std::size_t next_ = 0;
  grpc::CompletionQueue queue_;
  std::unordered_set<OpenCall*> open_;
};

}  // namespace

std::unique_ptr<InferClient> make_grpc_client(const ClientOptions& options) {
  return std::make_unique<GrpcClient>(options);
}

}  // namespace batchwise

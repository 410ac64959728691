// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/service.h"

#include <grpcpp/support/server_callback.h>
#include <inference_proto/inference_service.grpc.pb.h>

#include <exception>

#include "serve/grpc/grpc_status.h"
#include "serve/grpc/inference_call.h"
#include "serve/grpc/metadata_replies.h"
#include "serve/grpc/read_message.h"
#include "serve/server.h"

namespace batchwise::serve {
namespace {

using Context = grpc::CallbackServerContext;
using Unary = grpc::ServerUnaryReactor;
using Bytes = grpc::ByteBuffer;
using Rpc = inference::GRPCInferenceService;

// The generated service with each method in the way that its wrapper says.
template <template <typename> typename... Methods>
struct WithMethods {
  using Type = Rpc::Service;
};
template <template <typename> typename First, template <typename> typename... Rest>
struct WithMethods<First, Rest...> {
  using Type = First<typename WithMethods<Rest...>::Type>;
};
// All take the bytes of the wire: inference uses its messages' memory again and sends large outputs
// without a copy, decompression is bounded, and what is no message gets a status that says so.
using ServiceBase = WithMethods<
    Rpc::WithRawCallbackMethod_ModelInfer, Rpc::WithRawCallbackMethod_ModelStreamInfer,
    Rpc::WithRawCallbackMethod_ServerLive, Rpc::WithRawCallbackMethod_ServerReady,
    Rpc::WithRawCallbackMethod_ServerMetadata, Rpc::WithRawCallbackMethod_ModelReady,
    Rpc::WithRawCallbackMethod_ModelMetadata, Rpc::WithRawCallbackMethod_ModelConfig,
    Rpc::WithRawCallbackMethod_ModelStatistics, Rpc::WithRawCallbackMethod_RepositoryIndex,
    Rpc::WithRawCallbackMethod_RepositoryModelLoad,
    Rpc::WithRawCallbackMethod_RepositoryModelUnload,
    Rpc::WithRawCallbackMethod_SystemSharedMemoryStatus,
    Rpc::WithRawCallbackMethod_SystemSharedMemoryRegister,
    Rpc::WithRawCallbackMethod_SystemSharedMemoryUnregister,
    Rpc::WithRawCallbackMethod_CudaSharedMemoryStatus,
    Rpc::WithRawCallbackMethod_CudaSharedMemoryRegister,
    Rpc::WithRawCallbackMethod_CudaSharedMemoryUnregister, Rpc::WithRawCallbackMethod_TraceSetting,
    Rpc::WithRawCallbackMethod_LogSettings>::Type;

class InferenceService final : public ServiceBase {
 public:
  InferenceService(std::shared_ptr<CallShared> shared, StreamCalls& streams)
      : shared_(std::move(shared)), server_(shared_->server), streams_(streams) {}

  Unary* ModelInfer(Context* context, const Bytes* request, Bytes* response) override {
    return start_inference(shared_, *context, *request, *response);
  }
  grpc::ServerBidiReactor<Bytes, Bytes>* ModelStreamInfer(Context* context) override {
    return start_stream(shared_, streams_, *context);
  }

  // Probes need no key.
  Unary* ServerLive(Context* context, const Bytes*, Bytes* into) override {
    inference::ServerLiveResponse response;
    response.set_live(true);
    return finish(context, {Status::kOk}, response, into);
  }
  Unary* ServerReady(Context* context, const Bytes*, Bytes* into) override {
    inference::ServerReadyResponse response;
    response.set_ready(server_.ready() && !shared_->stopping);
    return finish(context, {Status::kOk}, response, into);
  }

  Unary* ModelReady(Context* context, const Bytes* bytes, Bytes* into) override {
    return answer<inference::ModelReadyRequest, inference::ModelReadyResponse>(
        context, bytes, into, [this](const auto& request, auto& response) {
          Refusal why;
          const auto model = server_.find_model(request.name(), request.version(), why);
          response.set_ready(model != nullptr);
          return Refusal{Status::kOk};
        });
  }
  Unary* ServerMetadata(Context* context, const Bytes* bytes, Bytes* into) override {
    return answer<inference::ServerMetadataRequest, inference::ServerMetadataResponse>(
        context, bytes, into, [](const auto&, auto& response) {
          fill_server_metadata(response);
          return Refusal{Status::kOk};
        });
  }
  Unary* ModelMetadata(Context* context, const Bytes* bytes, Bytes* into) override {
    return answer<inference::ModelMetadataRequest, inference::ModelMetadataResponse>(
        context, bytes, into, [this](const auto& request, auto& response) {
          return fill_model_metadata(server_, request.name(), request.version(), response);
        });
  }
  Unary* ModelConfig(Context* context, const Bytes* bytes, Bytes* into) override {
    return answer<inference::ModelConfigRequest, inference::ModelConfigResponse>(
        context, bytes, into, [this](const auto& request, auto& response) {
          return fill_model_config(server_, request.name(), request.version(), response);
        });
  }
  Unary* ModelStatistics(Context* context, const Bytes* bytes, Bytes* into) override {
    return answer<inference::ModelStatisticsRequest, inference::ModelStatisticsResponse>(
        context, bytes, into, [this](const auto& request, auto& response) {
          return fill_statistics(server_, request.name(), request.version(), response);
        });
  }

  Unary* RepositoryIndex(Context* context, const Bytes* bytes, Bytes* into) override {
    return answer<inference::RepositoryIndexRequest, inference::RepositoryIndexResponse>(
        context, bytes, into, [this](const auto& request, auto& response) {
          fill_index(server_, request.ready(), response);
          return Refusal{Status::kOk};
        });
  }
  Unary* RepositoryModelLoad(Context* context, const Bytes* bytes, Bytes* into) override {
    return answer_later<inference::RepositoryModelLoadRequest>(
        context, bytes, into, [this](const auto& request, Server::Done done) {
          std::string config;
          const Refusal refusal = read_load_config(request, config);
          if (refusal.status != Status::kOk) return done(refusal);
          server_.load(request.model_name(), config, std::move(done));
        });
  }
  Unary* RepositoryModelUnload(Context* context, const Bytes* bytes, Bytes* into) override {
    return answer_later<inference::RepositoryModelUnloadRequest>(
        context, bytes, into, [this](const auto& request, Server::Done done) {
          server_.unload(request.model_name(), std::move(done));
        });
  }

  Unary* SystemSharedMemoryStatus(Context* context, const Bytes*, Bytes*) override {
    return no_shared_memory(context);
  }
  Unary* SystemSharedMemoryRegister(Context* context, const Bytes*, Bytes*) override {
    return no_shared_memory(context);
  }
  Unary* SystemSharedMemoryUnregister(Context* context, const Bytes*, Bytes*) override {
    return no_shared_memory(context);
  }
  Unary* CudaSharedMemoryStatus(Context* context, const Bytes*, Bytes*) override {
    return no_shared_memory(context);
  }
  Unary* CudaSharedMemoryRegister(Context* context, const Bytes*, Bytes*) override {
    return no_shared_memory(context);
  }
  Unary* CudaSharedMemoryUnregister(Context* context, const Bytes*, Bytes*) override {
    return no_shared_memory(context);
  }
  Unary* TraceSetting(Context* context, const Bytes*, Bytes*) override {
    return unsupported(context, "trace settings are given when the server is started");
  }
  Unary* LogSettings(Context* context, const Bytes*, Bytes*) override {
    return unsupported(context, "log settings are given when the server is started");
  }

 private:
  static Unary* finish(Context* context, const grpc::Status& status) {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(status);
    return reactor;
  }
  static Unary* finish(Context* context, const Refusal& refusal,
                       const google::protobuf::MessageLite& response, Bytes* into) {
    if (refusal.status == Status::kOk) *into = to_bytes(response);
    return finish(context, grpc_status(refusal, context));
  }
  static Bytes to_bytes(const google::protobuf::MessageLite& message) {
    const grpc::Slice slice(message.SerializeAsString());
    return {&slice, 1};
  }

  // Why the caller is not served; nothing where `request` is what came.
  std::optional<grpc::Status> read(Context* context, const Bytes* bytes,
                                   google::protobuf::MessageLite& request) {
    if (!shared_->access.caller(*context)) return unauthenticated_status();
    const auto refusal = read_message(*bytes, shared_->most_message_bytes, request);
    if (refusal) return grpc_status(*refusal, context);
    return std::nullopt;
  }

  template <typename Request, typename Response, typename Body>
  Unary* answer(Context* context, const Bytes* bytes, Bytes* into, Body&& body) {
    Request request;
    if (const auto refused = read(context, bytes, request)) return finish(context, *refused);
    Response response;
    try {
      return finish(context, body(request, response), response, into);
    } catch (const std::exception& error) {
      return finish(context, grpc_status({Status::kInternal, error.what(), 0}, context));
    }
  }

  // `body` gets a function that answers with an empty message or a refusal, once, from any thread.
  template <typename Request, typename Body>
  Unary* answer_later(Context* context, const Bytes* bytes, Bytes* into, Body&& body) {
    Request request;
    if (const auto refused = read(context, bytes, request)) return finish(context, *refused);
    auto* reactor = context->DefaultReactor();
    const Server::Done done = [context, reactor, into](std::optional<Refusal> refusal) {
      const grpc::Slice nothing;
      *into = Bytes(&nothing, 1);
      reactor->Finish(refusal ? grpc_status(*refusal, context) : grpc::Status::OK);
    };
    try {
      body(request, done);
    } catch (const std::exception& error) {
      done(Refusal{Status::kInternal, error.what(), 0});
    }
    return reactor;
  }

  Unary* unsupported(Context* context, const char* what) {
    if (!shared_->access.caller(*context)) return finish(context, unauthenticated_status());
    return finish(context, grpc_status({Status::kUnsupported, what, 0}, context));
  }
  Unary* no_shared_memory(Context* context) {
    return unsupported(context, "shared memory is not served: send tensors in the message");
  }

  std::shared_ptr<CallShared> shared_;
  Server& server_;
  StreamCalls& streams_;
};

}  // namespace

std::unique_ptr<grpc::Service> make_inference_service(std::shared_ptr<CallShared> shared,
                                                      StreamCalls& streams) {
  return std::make_unique<InferenceService>(std::move(shared), streams);
}

}  // namespace batchwise::serve

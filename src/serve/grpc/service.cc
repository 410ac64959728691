// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/service.h"

#include <grpcpp/support/server_callback.h>
#include <inference_proto/inference_service.grpc.pb.h>

#include <exception>

#include "serve/grpc/grpc_status.h"
#include "serve/grpc/inference_call.h"
#include "serve/grpc/metadata_replies.h"
#include "serve/server.h"

namespace batchwise::serve {
namespace {

using Context = grpc::CallbackServerContext;
using Unary = grpc::ServerUnaryReactor;
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
// Inference is taken as the bytes of the wire: the messages' memory is used again, large outputs
// are sent without a copy, and what is no message gets a status that says so.
using ServiceBase =
    WithMethods<Rpc::WithRawCallbackMethod_ModelInfer, Rpc::WithRawCallbackMethod_ModelStreamInfer,
                Rpc::WithCallbackMethod_ServerLive, Rpc::WithCallbackMethod_ServerReady,
                Rpc::WithCallbackMethod_ServerMetadata, Rpc::WithCallbackMethod_ModelReady,
                Rpc::WithCallbackMethod_ModelMetadata, Rpc::WithCallbackMethod_ModelConfig,
                Rpc::WithCallbackMethod_ModelStatistics, Rpc::WithCallbackMethod_RepositoryIndex,
                Rpc::WithCallbackMethod_RepositoryModelLoad,
                Rpc::WithCallbackMethod_RepositoryModelUnload,
                Rpc::WithCallbackMethod_SystemSharedMemoryStatus,
                Rpc::WithCallbackMethod_SystemSharedMemoryRegister,
                Rpc::WithCallbackMethod_SystemSharedMemoryUnregister,
                Rpc::WithCallbackMethod_CudaSharedMemoryStatus,
                Rpc::WithCallbackMethod_CudaSharedMemoryRegister,
                Rpc::WithCallbackMethod_CudaSharedMemoryUnregister,
                Rpc::WithCallbackMethod_TraceSetting, Rpc::WithCallbackMethod_LogSettings>::Type;

class InferenceService final : public ServiceBase {
 public:
  InferenceService(std::shared_ptr<CallShared> shared, StreamCalls& streams)
      : shared_(std::move(shared)), server_(shared_->server), streams_(streams) {}

  Unary* ModelInfer(Context* context, const grpc::ByteBuffer* request,
                    grpc::ByteBuffer* response) override {
    return start_inference(shared_, *context, *request, *response);
  }
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ModelStreamInfer(
      Context* context) override {
    return start_stream(shared_, streams_, *context);
  }

  // Probes need no key.
  Unary* ServerLive(Context* context, const inference::ServerLiveRequest*,
                    inference::ServerLiveResponse* into) override {
    return answer_open(context, [&] {
      into->set_live(true);
      return Refusal{Status::kOk};
    });
  }
  Unary* ServerReady(Context* context, const inference::ServerReadyRequest*,
                     inference::ServerReadyResponse* into) override {
    return answer_open(context, [&] {
      into->set_ready(server_.ready() && !shared_->stopping);
      return Refusal{Status::kOk};
    });
  }

  Unary* ModelReady(Context* context, const inference::ModelReadyRequest* request,
                    inference::ModelReadyResponse* into) override {
    return answer(context, [&] {
      Refusal why;
      into->set_ready(server_.find_model(request->name(), request->version(), why) != nullptr);
      return Refusal{Status::kOk};
    });
  }
  Unary* ServerMetadata(Context* context, const inference::ServerMetadataRequest*,
                        inference::ServerMetadataResponse* into) override {
    return answer(context, [&] {
      fill_server_metadata(*into);
      return Refusal{Status::kOk};
    });
  }
  Unary* ModelMetadata(Context* context, const inference::ModelMetadataRequest* request,
                       inference::ModelMetadataResponse* into) override {
    return answer(context, [&] {
      return fill_model_metadata(server_, request->name(), request->version(), *into);
    });
  }
  Unary* ModelConfig(Context* context, const inference::ModelConfigRequest* request,
                     inference::ModelConfigResponse* into) override {
    return answer(context, [&] {
      return fill_model_config(server_, request->name(), request->version(), *into);
    });
  }
  Unary* ModelStatistics(Context* context, const inference::ModelStatisticsRequest* request,
                         inference::ModelStatisticsResponse* into) override {
    return answer(context, [&] {
      return fill_statistics(server_, request->name(), request->version(), *into);
    });
  }

  Unary* RepositoryIndex(Context* context, const inference::RepositoryIndexRequest* request,
                         inference::RepositoryIndexResponse* into) override {
    return answer(context, [&] {
      fill_index(server_, request->ready(), *into);
      return Refusal{Status::kOk};
    });
  }
  Unary* RepositoryModelLoad(Context* context, const inference::RepositoryModelLoadRequest* request,
                             inference::RepositoryModelLoadResponse*) override {
    return answer_later(context, [&](Server::Done done) {
      std::string config;
      const Refusal refusal = read_load_config(*request, config);
      if (refusal.status != Status::kOk) return done(refusal);
      server_.load(request->model_name(), config, std::move(done));
    });
  }
  Unary* RepositoryModelUnload(Context* context,
                               const inference::RepositoryModelUnloadRequest* request,
                               inference::RepositoryModelUnloadResponse*) override {
    return answer_later(context, [&](Server::Done done) {
      server_.unload(request->model_name(), std::move(done));
    });
  }

  Unary* SystemSharedMemoryStatus(Context* context,
                                  const inference::SystemSharedMemoryStatusRequest*,
                                  inference::SystemSharedMemoryStatusResponse*) override {
    return no_shared_memory(context);
  }
  Unary* SystemSharedMemoryRegister(Context* context,
                                    const inference::SystemSharedMemoryRegisterRequest*,
                                    inference::SystemSharedMemoryRegisterResponse*) override {
    return no_shared_memory(context);
  }
  Unary* SystemSharedMemoryUnregister(Context* context,
                                      const inference::SystemSharedMemoryUnregisterRequest*,
                                      inference::SystemSharedMemoryUnregisterResponse*) override {
    return no_shared_memory(context);
  }
  Unary* CudaSharedMemoryStatus(Context* context, const inference::CudaSharedMemoryStatusRequest*,
                                inference::CudaSharedMemoryStatusResponse*) override {
    return no_shared_memory(context);
  }
  Unary* CudaSharedMemoryRegister(Context* context,
                                  const inference::CudaSharedMemoryRegisterRequest*,
                                  inference::CudaSharedMemoryRegisterResponse*) override {
    return no_shared_memory(context);
  }
  Unary* CudaSharedMemoryUnregister(Context* context,
                                    const inference::CudaSharedMemoryUnregisterRequest*,
                                    inference::CudaSharedMemoryUnregisterResponse*) override {
    return no_shared_memory(context);
  }
  Unary* TraceSetting(Context* context, const inference::TraceSettingRequest*,
                      inference::TraceSettingResponse*) override {
    return unsupported(context, "trace settings are given when the server is started");
  }
  Unary* LogSettings(Context* context, const inference::LogSettingsRequest*,
                     inference::LogSettingsResponse*) override {
    return unsupported(context, "log settings are given when the server is started");
  }

 private:
  template <typename Body>
  static Unary* answer_open(Context* context, Body&& body) {
    auto* reactor = context->DefaultReactor();
    try {
      reactor->Finish(grpc_status(body(), context));
    } catch (const std::exception& error) {
      reactor->Finish(grpc_status({Status::kInternal, error.what(), 0}, context));
    }
    return reactor;
  }

  // Null where the caller may ask; else the call has been answered.
  Unary* refuse_stranger(Context* context) {
    if (shared_->access.caller(*context)) return nullptr;
    auto* reactor = context->DefaultReactor();
    reactor->Finish(unauthenticated_status());
    return reactor;
  }

  template <typename Body>
  Unary* answer(Context* context, Body&& body) {
    if (auto* refused = refuse_stranger(context)) return refused;
    return answer_open(context, body);
  }

  // `body` gets a function that answers, once, from any thread.
  template <typename Body>
  Unary* answer_later(Context* context, Body&& body) {
    if (auto* refused = refuse_stranger(context)) return refused;
    auto* reactor = context->DefaultReactor();
    const Server::Done done = [context, reactor](std::optional<Refusal> refusal) {
      reactor->Finish(refusal ? grpc_status(*refusal, context) : grpc::Status::OK);
    };
    try {
      body(done);
    } catch (const std::exception& error) {
      done(Refusal{Status::kInternal, error.what(), 0});
    }
    return reactor;
  }

  Unary* unsupported(Context* context, const char* what) {
    return answer(context, [what] { return Refusal{Status::kUnsupported, what, 0}; });
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

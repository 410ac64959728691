// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/frontend.h"

#include <grpcpp/impl/codegen/client_unary_call.h>
#include <unistd.h>

#include <condition_variable>
#include <future>

#include "batchwise/error.h"
#include "serve/grpc/test_client.h"

namespace batchwise::serve {
namespace {

using grpc::StatusCode;

TEST_F(GrpcTest, AnswersWithTheValuesAndTheId) {
  start();
  inference::ModelInferResponse response;
  const std::vector<float> values{1, 2.5, -3, 4e-20f, 5, 6, 7, 8};
  const auto status = infer(echo_request(values, "my id"), response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(floats(response), values);
  EXPECT_EQ(response.id(), "my id");
  EXPECT_EQ(response.model_name(), "echo");
  EXPECT_EQ(response.model_version(), "1");
  ASSERT_EQ(response.outputs_size(), 1);
  EXPECT_EQ(response.outputs(0).name(), "out0");
  EXPECT_EQ(response.outputs(0).datatype(), "FP32");
  EXPECT_EQ(response.outputs(0).shape(0), 2);
}

TEST_F(GrpcTest, SendsLargeOutputsWhole) {
  server.add(echo_model("wide", {DType::kFloat32, DType::kUInt8}, 100'000));
  start();
  inference::ModelInferRequest request;
  request.set_model_name("wide");
  for (int i = 0; i < 2; ++i) {
    auto* input = request.add_inputs();
    input->set_name("in" + std::to_string(i));
    input->set_datatype(i == 0 ? "FP32" : "UINT8");
    input->add_shape(1);
    input->add_shape(100'000);
    std::string bytes(i == 0 ? 400'000 : 100'000, '\0');
    for (std::size_t j = 0; j < bytes.size(); ++j) bytes[j] = static_cast<char>(j * 31 >> 3);
    request.add_raw_input_contents(bytes);
  }
  inference::ModelInferResponse response;
  ASSERT_TRUE(infer(request, response).ok());
  ASSERT_EQ(response.raw_output_contents_size(), 2);
  EXPECT_EQ(response.raw_output_contents(0), request.raw_input_contents(0));
  EXPECT_EQ(response.raw_output_contents(1), request.raw_input_contents(1));
}

TEST_F(GrpcTest, TranslatesEachRefusal) {
  start();
  const std::vector<std::pair<Status, StatusCode>> cases{
      {Status::kInvalid, StatusCode::INVALID_ARGUMENT},
      {Status::kTooLarge, StatusCode::INVALID_ARGUMENT},
      {Status::kNotFound, StatusCode::NOT_FOUND},
      {Status::kUnsupported, StatusCode::UNIMPLEMENTED},
      {Status::kOverloaded, StatusCode::RESOURCE_EXHAUSTED},
      {Status::kUnavailable, StatusCode::UNAVAILABLE},
      {Status::kDeadlineExceeded, StatusCode::DEADLINE_EXCEEDED},
      {Status::kCancelled, StatusCode::CANCELLED},
      {Status::kInternal, StatusCode::INTERNAL}};
  for (const auto& [refused, code] : cases) {
    server.on_infer = [status = refused](std::shared_ptr<InferenceRequest> request) {
      request->reply(refusal_reply(status, "because 7 > 5", 1.2));
    };
    grpc::ClientContext context;
    inference::ModelInferResponse response;
    const auto status = stub->ModelInfer(&context, echo_request({1, 2, 3, 4}), &response);
    EXPECT_EQ(status.error_code(), code);
    EXPECT_EQ(status.error_message(), "because 7 > 5");
    const auto& trailers = context.GetServerTrailingMetadata();
    const auto retry = trailers.find("retry-after");
    ASSERT_NE(retry, trailers.end());
    EXPECT_EQ(retry->second, "2");
  }
}

TEST_F(GrpcTest, RefusesWhatIsNoRequestAndGoesOn) {
  start();
  inference::ModelInferResponse response;
  auto request = echo_request({1, 2, 3, 4});
  request.set_model_name(std::string(100'000, 'm'));
  EXPECT_EQ(infer(request, response).error_code(), StatusCode::NOT_FOUND);
  request.set_model_name("echo");
  request.set_model_version("9");
  EXPECT_EQ(infer(request, response).error_code(), StatusCode::NOT_FOUND);
  request.set_model_version("1");
  request.mutable_inputs(0)->set_name(std::string(100'000, 'x'));
  EXPECT_EQ(infer(request, response).error_code(), StatusCode::INVALID_ARGUMENT);

  const grpc::internal::RpcMethod method("/inference.GRPCInferenceService/ModelInfer",
                                         grpc::internal::RpcMethod::NORMAL_RPC);
  const auto channel = connect();
  for (const std::string& bytes : {std::string("\xff\xff\xff"), std::string(3, '\0'),
                                   std::string("\x0a\x7f"), std::string()}) {
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer message(&slice, 1);
    grpc::ByteBuffer reply;
    grpc::ClientContext context;
    const auto status =
        grpc::internal::BlockingUnaryCall(channel.get(), method, &context, message, &reply);
    EXPECT_EQ(status.error_code(),
              bytes.empty() ? StatusCode::NOT_FOUND : StatusCode::INVALID_ARGUMENT);
  }
  EXPECT_EQ(server.inferences, 0);
  EXPECT_TRUE(infer(echo_request({1, 2, 3, 4}), response).ok());
}

TEST_F(GrpcTest, RefusesMessagesBeyondTheLimit) {
  options.max_body_bytes = 10'000;
  start();
  inference::ModelInferResponse response;
  EXPECT_EQ(infer(echo_request(std::vector<float>(4000, 1.f)), response).error_code(),
            StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(server.inferences, 0);
  EXPECT_TRUE(infer(echo_request(std::vector<float>(400, 1.f)), response).ok());
}

TEST_F(GrpcTest, TakesCompressedMessagesWithinTheLimit) {
  options.max_body_bytes = 50'000;
  start();
  const auto ask = [&](grpc_compression_algorithm algorithm, std::size_t rows) {
    grpc::ClientContext context;
    context.set_compression_algorithm(algorithm);
    inference::ModelInferResponse response;
    const std::vector<float> values(rows * 4, 0.25f);
    const auto status = stub->ModelInfer(&context, echo_request(values), &response);
    EXPECT_EQ(floats(response), status.ok() ? values : std::vector<float>());
    return status.error_code();
  };
  for (const auto algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    EXPECT_EQ(ask(algorithm, 1000), StatusCode::OK);
    EXPECT_EQ(ask(algorithm, 3000), StatusCode::OK);
    EXPECT_EQ(ask(algorithm, 3200), StatusCode::INVALID_ARGUMENT);  // 51,200 bytes of values
    EXPECT_EQ(ask(algorithm, 200'000), StatusCode::INVALID_ARGUMENT);
  }
  EXPECT_EQ(server.inferences, 4);
}

TEST_F(GrpcTest, HandsOverDeadlineTimeoutTraceAndClient) {
  start();
  struct Seen {
    double timeout_us = 0;
    std::int32_t client = 0, priority = 0;
    std::string trace_parent, id;
  };
  std::vector<Seen> seen;
  server.on_infer = [&](std::shared_ptr<InferenceRequest> request) {
    seen.push_back({request->timeout_us, request->client, request->priority, request->trace_parent,
                    request->id});
    request->reply(echo_reply(*request));
  };
  inference::ModelInferResponse response;
  const auto ask = [&](double deadline_s, std::int64_t timeout_us, Rpc::Stub& by) {
    grpc::ClientContext context;
    if (deadline_s > 0) {
      context.set_deadline(std::chrono::system_clock::now() +
                           std::chrono::milliseconds(static_cast<int>(deadline_s * 1e3)));
    }
    context.AddMetadata("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    auto request = echo_request({1, 2, 3, 4}, "a");
    if (timeout_us > 0) (*request.mutable_parameters())["timeout"].set_int64_param(timeout_us);
    EXPECT_TRUE(by.ModelInfer(&context, request, &response).ok());
  };
  ask(0, 0, *stub);
  ask(1000, 0, *stub);
  ask(1000, 5000, *stub);
  ask(1000, 4'000'000'000, *stub);
  const auto other = Rpc::NewStub(connect());
  ask(0, 0, *other);
  ASSERT_EQ(seen.size(), 5u);
  EXPECT_EQ(seen[0].timeout_us, 0);
  EXPECT_GT(seen[1].timeout_us, 0);
  EXPECT_LE(seen[1].timeout_us, 1.02e9);  // the wire has two digits
  EXPECT_EQ(seen[2].timeout_us, 5000);
  EXPECT_LE(seen[3].timeout_us, 1.02e9);
  EXPECT_EQ(seen[0].trace_parent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  EXPECT_EQ(seen[0].client, seen[3].client);
  EXPECT_NE(seen[0].client, seen[4].client);
}

TEST_F(GrpcTest, SetsCancelledWhenTheClientGoes) {
  start();
  std::promise<std::shared_ptr<InferenceRequest>> arrived;
  server.on_infer = [&](std::shared_ptr<InferenceRequest> request) {
    arrived.set_value(std::move(request));
  };
  grpc::ClientContext context;
  auto call = std::async(std::launch::async, [&] {
    inference::ModelInferResponse response;
    return stub->ModelInfer(&context, echo_request({1, 2, 3, 4}), &response);
  });
  const auto request = arrived.get_future().get();
  context.TryCancel();
  EXPECT_EQ(call.get().error_code(), StatusCode::CANCELLED);
  while (!request->cancelled) std::this_thread::yield();
  request->reply(refusal_reply(Status::kCancelled, "the client has gone"));
}

TEST_F(GrpcTest, AnswersManyAtOnceEachItsOwn) {
  server.answer_from_thread();
  start();
  constexpr int kCalls = 2000, kInFlight = 64;
  struct Call {
    grpc::ClientContext context;
    inference::ModelInferRequest request;
    inference::ModelInferResponse response;
  };
  // Kept until the end: a channel whose last share goes with a context, within gRPC's callback,
  // would wait for the thread that it is on.
  std::vector<std::unique_ptr<Call>> calls;
  std::mutex mutex;
  std::condition_variable changed;
  int open = 0, wrong = 0;
  for (int i = 0; i < kCalls; ++i) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return open < kInFlight; });
    ++open;
    lock.unlock();
    Call* call = calls.emplace_back(std::make_unique<Call>()).get();
    const std::vector<float> values{static_cast<float>(i), 1, 2, 3};
    call->request = echo_request(values, std::to_string(i));
    stub->async()->ModelInfer(
        &call->context, &call->request, &call->response, [&, call, values, i](grpc::Status status) {
          const bool is_right = status.ok() && floats(call->response) == values &&
                                call->response.id() == std::to_string(i);
          const std::lock_guard done(mutex);
          wrong += is_right ? 0 : 1;
          --open;
          changed.notify_all();
        });
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return open == 0; });
  EXPECT_EQ(wrong, 0);
}

TEST_F(GrpcTest, AsksForAKeyWhereThereIsOne) {
  options.api_keys = {"first", "second"};
  start();
  const auto ask = [&](const char* name, const char* value) {
    grpc::ClientContext context;
    if (name != nullptr) context.AddMetadata(name, value);
    inference::ModelInferResponse response;
    return stub->ModelInfer(&context, echo_request({1, 2, 3, 4}), &response).error_code();
  };
  EXPECT_EQ(ask(nullptr, nullptr), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ask("x-api-key", "third"), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ask("x-api-key", ""), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ask("authorization", "second"), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ask("authorization", "Basic second"), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ask("authorization", "Bearer second"), StatusCode::OK);
  EXPECT_EQ(ask("authorization", "bearer first"), StatusCode::OK);
  EXPECT_EQ(ask("x-api-key", "first"), StatusCode::OK);
  EXPECT_EQ(server.inferences, 3);
  grpc::ClientContext context, live_context;
  inference::RepositoryIndexResponse index;
  EXPECT_EQ(stub->RepositoryIndex(&context, {}, &index).error_code(), StatusCode::UNAUTHENTICATED);
  inference::ServerLiveResponse live;
  EXPECT_TRUE(stub->ServerLive(&live_context, {}, &live).ok());
}

TEST_F(GrpcTest, ListensOnAUnixSocket) {
  const std::string path = "/tmp/batchwise_grpc_test_" + std::to_string(getpid());
  options.address = "unix:" + path;
  start();
  EXPECT_EQ(frontend->address(), options.address);
  inference::ModelInferResponse response;
  EXPECT_TRUE(infer(echo_request({1, 2, 3, 4}), response).ok());
  frontend->finish();
  unlink(path.c_str());
}

ErrorCode refused_code(Server& server, const GrpcOptions& options) {
  try {
    make_grpc_frontend(server, options);
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kInternal;
}

TEST_F(GrpcTest, RefusesAddressesThatAreNone) {
  start();
  for (const char* address : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000",
                              ":8001", "unix:", "127.0.0.1:-1"}) {
    GrpcOptions wrong;
    wrong.address = address;
    EXPECT_EQ(refused_code(server, wrong), ErrorCode::kInvalidInput) << address;
  }
  GrpcOptions other;
  other.address = frontend->address();  // in use
  EXPECT_EQ(refused_code(server, other), ErrorCode::kEnvironment);
  other.address = "unix:/no/such/folder/socket";
  EXPECT_EQ(refused_code(server, other), ErrorCode::kEnvironment);
  other.address = "127.0.0.1:0";
  other.tls_certificate = "/no/such/file.pem";
  EXPECT_EQ(refused_code(server, other), ErrorCode::kInvalidInput);
  other.tls_key = other.tls_certificate;
  EXPECT_EQ(refused_code(server, other), ErrorCode::kEnvironment);
}

}  // namespace
}  // namespace batchwise::serve

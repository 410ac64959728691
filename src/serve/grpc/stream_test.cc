// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <set>

#include "serve/grpc/test_client.h"

namespace batchwise::serve {
namespace {

using grpc::StatusCode;
using Stream =
    grpc::ClientReaderWriter<inference::ModelInferRequest, inference::ModelStreamInferResponse>;

TEST_F(GrpcTest, StreamAnswersAllAndDrainsAfterTheHalfClose) {
  server.answer_from_thread();
  start();
  grpc::ClientContext context;
  const auto stream = stub->ModelStreamInfer(&context);
  constexpr int kRequests = 1000;  // more than are taken before answers are read
  std::thread writer([&] {
    for (int i = 0; i < kRequests; ++i) {
      ASSERT_TRUE(stream->Write(echo_request({static_cast<float>(i), 0, 0, 0}, std::to_string(i))));
    }
    stream->WritesDone();
  });
  std::set<std::string> ids;
  inference::ModelStreamInferResponse response;
  while (stream->Read(&response)) {
    EXPECT_EQ(response.error_message(), "");
    const std::string& id = response.infer_response().id();
    ids.insert(id);
    ASSERT_EQ(floats(response.infer_response()).size(), 4u);
    EXPECT_EQ(floats(response.infer_response())[0], std::stof(id));
    EXPECT_TRUE(response.infer_response().parameters().empty());
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(ids.size(), static_cast<std::size_t>(kRequests));
}

TEST_F(GrpcTest, StreamTellsErrorsAndGoesOn) {
  start();
  grpc::ClientContext context;
  const auto stream = stub->ModelStreamInfer(&context);
  auto wrong = echo_request({1, 2, 3, 4}, "wrong");
  wrong.set_model_name("nothing");
  auto marked = echo_request({1, 2, 3, 4}, "marked");
  (*marked.mutable_parameters())["triton_enable_empty_final_response"].set_bool_param(true);
  stream->Write(wrong);
  stream->Write(marked);
  stream->WritesDone();
  std::map<std::string, inference::ModelStreamInferResponse> responses;
  inference::ModelStreamInferResponse response;
  while (stream->Read(&response)) responses[response.infer_response().id()] = response;
  EXPECT_TRUE(stream->Finish().ok());
  ASSERT_EQ(responses.size(), 2u);
  EXPECT_NE(responses["wrong"].error_message(), "");
  EXPECT_EQ(responses["marked"].error_message(), "");
  EXPECT_TRUE(
      responses["marked"].infer_response().parameters().at("triton_final_response").bool_param());
}

TEST_F(GrpcTest, StreamOfAClientThatGoesCancelsItsRequests) {
  start();
  std::mutex mutex;
  std::vector<std::shared_ptr<InferenceRequest>> requests;
  server.on_infer = [&](std::shared_ptr<InferenceRequest> request) {
    const std::lock_guard lock(mutex);
    requests.push_back(std::move(request));
  };
  const auto count = [&] {
    const std::lock_guard lock(mutex);
    return requests.size();
  };
  grpc::ClientContext context;
  const auto stream = stub->ModelStreamInfer(&context);
  for (int i = 0; i < 3; ++i) stream->Write(echo_request({1, 2, 3, 4}));
  while (count() < 3) std::this_thread::yield();
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
  for (const auto& request : requests) {
    while (!request->cancelled) std::this_thread::yield();
    request->reply(refusal_reply(Status::kCancelled, "the client has gone"));
  }
}

// Clients that go at any moment, while answers come from another thread.
TEST_F(GrpcTest, StreamsOfClientsThatGoInBetween) {
  server.answer_from_thread();
  start();
  for (int round = 0; round < 200; ++round) {
    grpc::ClientContext context;
    const auto stream = stub->ModelStreamInfer(&context);
    for (int i = 0; i < 8; ++i) stream->Write(echo_request({1, 2, 3, 4}));
    inference::ModelStreamInferResponse response;
    for (int i = 0; i < round % 9; ++i) EXPECT_TRUE(stream->Read(&response));
    if (round % 2 == 0) context.TryCancel();
    if (round % 3 == 0) stream->WritesDone();
    if (round % 2 == 0) {
      while (stream->Read(&response)) continue;
      EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
      continue;
    }
    if (round % 3 != 0) stream->WritesDone();
    int left = 8 - round % 9;
    for (; stream->Read(&response); --left) continue;
    EXPECT_TRUE(stream->Finish().ok());
    EXPECT_EQ(left, 0);
  }
}

TEST_F(GrpcTest, StreamNeedsTheKey) {
  options.api_keys = {"key"};
  start();
  grpc::ClientContext context;
  const auto stream = stub->ModelStreamInfer(&context);
  inference::ModelStreamInferResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::UNAUTHENTICATED);
}

}  // namespace
}  // namespace batchwise::serve

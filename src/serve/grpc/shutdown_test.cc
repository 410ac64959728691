// SPDX-License-Identifier: Apache-2.0
#include <future>

#include "serve/grpc/test_client.h"

namespace batchwise::serve {
namespace {

using grpc::StatusCode;

// Keeps what comes until the test answers it.
struct Held {
  explicit Held(TestServer& server) {
    server.on_infer = [this](std::shared_ptr<InferenceRequest> request) {
      const std::lock_guard lock(mutex);
      requests.push_back(std::move(request));
    };
  }
  void wait_for(std::size_t count) {
    for (;;) {
      {
        const std::lock_guard lock(mutex);
        if (requests.size() >= count) return;
      }
      std::this_thread::yield();
    }
  }
  void answer_all() {
    for (const auto& request : requests) request->reply(echo_reply(*request));
    requests.clear();
  }
  std::mutex mutex;
  std::vector<std::shared_ptr<InferenceRequest>> requests;
};

TEST_F(GrpcTest, EveryAcceptedCallIsAnsweredWhenItStops) {
  Held held(server);
  start();
  std::vector<std::future<bool>> calls;
  for (int i = 0; i < 8; ++i) {
    calls.push_back(std::async(std::launch::async, [this, i] {
      inference::ModelInferResponse response;
      const std::vector<float> values{static_cast<float>(i), 1, 2, 3};
      return infer(echo_request(values), response).ok() && floats(response) == values;
    }));
  }
  grpc::ClientContext context;
  const auto stream = stub->ModelStreamInfer(&context);
  stream->Write(echo_request({9, 9, 9, 9}, "streamed"));
  held.wait_for(9);

  frontend->stop_accepting();
  inference::ModelInferResponse refused;
  EXPECT_EQ(infer(echo_request({1, 2, 3, 4}), refused).error_code(), StatusCode::UNAVAILABLE);
  held.answer_all();
  for (auto& call : calls) EXPECT_TRUE(call.get());
  inference::ModelStreamInferResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.infer_response().id(), "streamed");
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::UNAVAILABLE);
  frontend->finish();
}

TEST_F(GrpcTest, ClosesWhatIsOpenAfterItsPatience) {
  options.body_timeout_s = 0.05;
  Held held(server);
  start();
  auto call = std::async(std::launch::async, [this] {
    inference::ModelInferResponse response;
    return infer(echo_request({1, 2, 3, 4}), response).ok();
  });
  held.wait_for(1);
  // The server's drain comes between the two; here it never answers in time.
  frontend->stop_accepting();
  auto finished = std::async(std::launch::async, [this] { frontend->finish(); });
  EXPECT_FALSE(call.get());
  held.answer_all();
  finished.get();
}

TEST_F(GrpcTest, StopsUnderLoadWithoutLosingAnAnswer) {
  server.answer_from_thread();
  for (int round = 0; round < 5; ++round) {
    start();
    std::atomic<int> answered{0}, wrong{0};
    std::vector<std::thread> clients;
    for (int i = 0; i < 4; ++i) {
      clients.emplace_back([&, client = Rpc::NewStub(connect())] {
        for (;;) {
          inference::ModelInferResponse response;
          grpc::ClientContext context;
          const auto status = client->ModelInfer(&context, echo_request({1, 2, 3, 4}), &response);
          if (status.error_code() == StatusCode::UNAVAILABLE) return;
          if (!status.ok() || floats(response).size() != 4) {
            ++wrong;
            ADD_FAILURE() << status.error_code() << " " << status.error_message();
          }
          ++answered;
        }
      });
    }
    while (answered < 50) std::this_thread::yield();
    const int before = server.inferences;
    frontend->stop_accepting();
    for (auto& client : clients) client.join();
    frontend->finish();
    EXPECT_EQ(wrong, 0);
    EXPECT_GE(answered, 50);
    EXPECT_GE(server.inferences, before);
  }
}

}  // namespace
}  // namespace batchwise::serve

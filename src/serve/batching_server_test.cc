// SPDX-License-Identifier: Apache-2.0
#include "serve/batching_server.h"

#include <gmock/gmock.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "serve/serving_test.h"

namespace batchwise::serve {
namespace {

bool is_quick() { return std::getenv("BATCHWISE_QUICK_TESTS") != nullptr; }

class BatchingServerTest : public testing::Test {
 protected:
  void start(const ServerOptions& options) {
    write_model(folder_ / "m.onnx");
    server_ = std::make_unique<BatchingServer>(options);
    server_->add_model("m", folder_ / "m.onnx");
    server_->wait_ready();
    engine_ = read_engine_model(folder_ / "m.onnx");
  }
  std::shared_ptr<TestRequest> make(std::int64_t rows, std::uint64_t seed) const {
    Refusal why;
    return std::make_shared<TestRequest>(server_->find_model("m", "", why), rows, seed);
  }
  std::shared_ptr<TestRequest> send(std::int64_t rows, std::uint64_t seed) const {
    auto request = make(rows, seed);
    server_->infer(request);
    return request;
  }

  TestFolder folder_;
  std::unique_ptr<BatchingServer> server_;
  std::shared_ptr<const EngineModel> engine_;
};

TEST_F(BatchingServerTest, SaysWhatItServes) {
  start(test_options());
  EXPECT_TRUE(server_->ready());
  Refusal why;
  const auto model = server_->find_model("m", "", why);
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->version, "1");
  ASSERT_EQ(model->inputs.size(), 1U);
  EXPECT_THAT(model->inputs[0].shape, testing::ElementsAre(-1, 8));
  EXPECT_EQ(model->inputs[0].row_bytes, 32);
  ASSERT_EQ(model->outputs.size(), 1U);
  EXPECT_THAT(model->outputs[0].shape, testing::ElementsAre(-1, 4));
  EXPECT_EQ(server_->find_model("m", "1", why), model);
  EXPECT_EQ(server_->find_model("m", "2", why), nullptr);
  EXPECT_EQ(why.status, Status::kNotFound);
  EXPECT_EQ(server_->find_model("n", "", why), nullptr);
  EXPECT_EQ(why.status, Status::kNotFound);
}

TEST_F(BatchingServerTest, AnswersWithThePredictionsBits) {
  start(test_options());
  for (const std::int64_t rows : {1, 2, 3, 7, 16, 300, 1000}) {
    const auto request = send(rows, static_cast<std::uint64_t>(rows));
    ASSERT_EQ(request->wait(), Status::kOk) << request->refusal().message;
    EXPECT_EQ(request->results(), predicted(*engine_, *request)) << rows;
  }
}

// Requests of 1 to 16 rows, and some that no batch can take whole, from several threads.
TEST_F(BatchingServerTest, AnswersConcurrentRequestsOfAllSizesWithThePredictionsBits) {
  for (const Policy policy : {Policy::kDeadline, Policy::kGreedy, Policy::kAdaptive}) {
    ServerOptions options = test_options();
    options.scheduler.policy = policy;
    options.instances = 2;
    options.max_batch = 24;
    start(options);
    constexpr int kThreads = 4;
    const int each = is_quick() ? 50 : 300;
    std::atomic<int> wrong{0};
    std::vector<std::thread> clients;
    for (int t = 0; t < kThreads; ++t) {
      clients.emplace_back([&, t] {
        std::vector<std::shared_ptr<TestRequest>> sent;
        for (int i = 0; i < each; ++i) {
          const std::int64_t rows = i % 10 == 9 ? 25 + i % 40 : 1 + (i * 7 + t) % 16;
          sent.push_back(send(rows, static_cast<std::uint64_t>(t * each + i)));
        }
        for (const auto& request : sent) {
          if (request->wait() != Status::kOk || request->replies() != 1 ||
              request->results() != predicted(*engine_, *request)) {
            ++wrong;
          }
        }
      });
    }
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(wrong, 0) << policy_name(policy);
    const ModelStatistics statistics = server_->statistics("m", "").at(0);
    EXPECT_EQ(statistics.success.count, kThreads * each);
    EXPECT_EQ(statistics.in_time + statistics.late, kThreads * each);
    EXPECT_LT(statistics.execution_count, kThreads * each);
    server_->drain();
  }
}

}  // namespace
}  // namespace batchwise::serve

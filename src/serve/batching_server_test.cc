// SPDX-License-Identifier: Apache-2.0
#include "serve/batching_server.h"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "serve/serving_test.h"

namespace batchwise::serve {
namespace {

using BatchingServerTest = ServingTest;

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
    EXPECT_EQ(request->results(), predicted(engine_, *request)) << rows;
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
    std::atomic<std::int64_t> sent_rows{0};
    std::vector<std::thread> clients;
    for (int t = 0; t < kThreads; ++t) {
      clients.emplace_back([&, t] {
        std::vector<std::shared_ptr<TestRequest>> sent;
        Predictor predictor(engine_, 1, 1);
        for (int i = 0; i < each; ++i) {
          const std::int64_t rows = i % 10 == 9 ? 25 + i % 40 : 1 + (i * 7 + t) % 16;
          sent.push_back(send(rows, static_cast<std::uint64_t>(t * each + i)));
          sent_rows += rows;
        }
        for (const auto& request : sent) {
          if (request->wait() != Status::kOk || request->replies() != 1 ||
              request->results() != predicted(predictor, *request)) {
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
    EXPECT_EQ(statistics.inference_count, sent_rows);
    server_->drain();
  }
}

TEST_F(BatchingServerTest, MeasuresWhenIdleAndAnswersMeanwhile) {
  ServerOptions options = test_options();
  options.measures_when_idle = true;
  options.max_batch = 4;
  start(options);
  for (int i = 0; i < 200; ++i) {
    const auto request = send(1 + i % 9, static_cast<std::uint64_t>(i));
    ASSERT_EQ(request->wait(), Status::kOk);
    ASSERT_EQ(request->results(), predicted(engine_, *request));
  }
}

// A profile of a slower machine, or a spell in which all runs were slow, must not shut it for good.
TEST_F(BatchingServerTest, LearnsThoughItsCurveRefusesEverything) {
  std::ofstream(folder_ / "slow.json")
      << R"([{"batch_size": 1, "median_us": 1e9}, {"batch_size": 8, "median_us": 2e9}])";
  ServerOptions options = test_options();
  options.profile = folder_ / "slow.json";
  start(options);
  EXPECT_EQ(send(1, 1)->wait(), Status::kDeadlineExceeded);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  Status status = Status::kDeadlineExceeded;
  while (status != Status::kOk && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    status = send(1, 1)->wait();
  }
  EXPECT_EQ(status, Status::kOk);
}

TEST_F(BatchingServerTest, GivesTheOutputsThatWereAskedFor) {
  start(test_options());
  const auto request = make(3, 1);
  request->outputs = {0};
  server_->infer(request);
  ASSERT_EQ(request->wait(), Status::kOk);
  EXPECT_EQ(request->results(), predicted(engine_, *request));
}

TEST_F(BatchingServerTest, RefusesWhatDoesNotFitTheModel) {
  start(test_options());
  const auto short_of_bytes = make(3, 1);
  short_of_bytes->rows = 4;
  server_->infer(short_of_bytes);
  EXPECT_EQ(short_of_bytes->wait(), Status::kInvalid);
  const auto without_input = make(3, 1);
  without_input->inputs.clear();
  server_->infer(without_input);
  EXPECT_EQ(without_input->wait(), Status::kInvalid);
  const auto strange_output = make(3, 1);
  strange_output->outputs = {1};
  server_->infer(strange_output);
  EXPECT_EQ(strange_output->wait(), Status::kInvalid);
  const auto too_large = send(5000, 1);
  EXPECT_EQ(too_large->wait(), Status::kTooLarge);
}

TEST_F(BatchingServerTest, SaysWhyItRanABatch) {
  start(test_options());
  ASSERT_EQ(send(3, 1)->wait(), Status::kOk);
  server_->drain();
  const ServerSnapshot snapshot = server_->snapshot();
  ASSERT_EQ(snapshot.decisions.size(), 1U);
  const DecisionRecord& decision = snapshot.decisions[0];
  EXPECT_EQ(decision.model, "m");
  EXPECT_EQ(decision.rows, 3);
  EXPECT_EQ(decision.requests, 1);
  EXPECT_GT(decision.took_us, 0);
  EXPECT_THAT(decision.why, testing::StartsWith("ran 3 of 1 request"));
}

}  // namespace
}  // namespace batchwise::serve

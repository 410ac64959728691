// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "serve/serving_test.h"

// What is not answered with a result, and what is not held up by it.
namespace batchwise::serve {
namespace {

class ServerFailureTest : public ServingTest {
 protected:
  // Batches pass the gate; those that `fails_` names by their number throw.
  ServerOptions gated_options() {
    ServerOptions options = test_options();
    options.before_run = [this](std::string_view, std::int64_t) {
      const int number = ++batches_;
      gate_.pass();
      if (number == fails_) throw std::runtime_error("injected");
    };
    return options;
  }

  Gate gate_;
  std::atomic<int> batches_{0};
  std::atomic<int> fails_{0};
};

TEST_F(ServerFailureTest, ABatchThatThrowsFailsItsRequestsAlone) {
  fails_ = 2;
  ServerOptions options = gated_options();
  options.max_batch = 4;
  start(options);
  gate_.close();
  const auto first = send(1, 1);
  gate_.wait_for(1);
  std::vector<std::shared_ptr<TestRequest>> failing{send(2, 2), send(2, 3)};
  const auto last = send(3, 4);
  gate_.open();
  EXPECT_EQ(first->wait(), Status::kOk);
  for (const auto& request : failing) {
    EXPECT_EQ(request->wait(), Status::kInternal);
    EXPECT_THAT(request->refusal().message, testing::HasSubstr("injected"));
  }
  EXPECT_EQ(last->wait(), Status::kOk);
  EXPECT_EQ(last->results(), predicted(engine_, *last));
  const ModelStatistics statistics = server_->statistics("m", "").at(0);
  EXPECT_EQ(statistics.failures[static_cast<std::size_t>(Failure::kBackend)], 2);
  EXPECT_EQ(statistics.success.count, 2);
}

TEST_F(ServerFailureTest, ARequestWhosePartFailedIsAnsweredOnce) {
  fails_ = 2;
  ServerOptions options = gated_options();
  options.max_batch = 4;
  options.instances = 2;
  start(options);
  const auto split = send(23, 1);
  EXPECT_EQ(split->wait(), Status::kInternal);
  const auto next = send(23, 2);
  EXPECT_EQ(next->wait(), Status::kOk);
  EXPECT_EQ(next->results(), predicted(engine_, *next));
  server_->drain();
  EXPECT_EQ(split->replies(), 1);
}

TEST_F(ServerFailureTest, WhoHasGoneCostsNothing) {
  start(gated_options());
  gate_.close();
  const auto first = send(1, 1);
  gate_.wait_for(1);
  const auto gone = send(2, 2);
  const auto stays = send(3, 3);
  gone->cancelled = true;
  gate_.open();
  EXPECT_EQ(gone->wait(), Status::kCancelled);
  EXPECT_EQ(stays->wait(), Status::kOk);
  EXPECT_EQ(stays->results(), predicted(engine_, *stays));
  EXPECT_EQ(first->wait(), Status::kOk);
  EXPECT_EQ(server_->statistics("m", "").at(0).inference_count, 4);
  const auto gone_before = make(1, 4);
  gone_before->cancelled = true;
  server_->infer(gone_before);
  EXPECT_EQ(gone_before->wait(), Status::kCancelled);
}

// Whatever the policy: where it knows no deadlines, those are heeded that clients give.
TEST_F(ServerFailureTest, WhatIsDueBeforeItCanRunIsNotRun) {
  for (const Policy policy : {Policy::kDeadline, Policy::kGreedy}) {
    batches_ = 0;
    ServerOptions options = gated_options();
    options.scheduler.policy = policy;
    start(options);
    gate_.close();
    const auto first = send(1, 1);
    gate_.wait_for(1);
    const auto due = make(1, 2);
    due->timeout_us = 30e3;
    server_->infer(due);
    const auto stays = send(1, 3);
    const double after_us = now_us() + due->timeout_us;
    while (now_us() < after_us) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    gate_.open();
    EXPECT_EQ(due->wait(), Status::kDeadlineExceeded);
    EXPECT_EQ(stays->wait(), Status::kOk);
    EXPECT_EQ(
        server_->statistics("m", "").at(0).failures[static_cast<std::size_t>(Failure::kExpired)],
        1);
  }
}

TEST_F(ServerFailureTest, WhatNoServerCouldAnswerInTimeIsRefusedAtOnce) {
  start(test_options());
  const auto request = make(1, 1);
  request->timeout_us = 1e-3;
  server_->infer(request);
  EXPECT_EQ(request->wait(), Status::kDeadlineExceeded);
}

TEST_F(ServerFailureTest, AFullQueueRefusesAndSaysWhenToComeBack) {
  ServerOptions options = gated_options();
  options.scheduler.max_queue_requests = 2;
  start(options);
  gate_.close();
  std::vector<std::shared_ptr<TestRequest>> accepted{send(1, 1)};
  gate_.wait_for(1);
  accepted.push_back(send(1, 2));
  accepted.push_back(send(1, 3));
  const auto refused = send(1, 4);
  EXPECT_EQ(refused->wait(), Status::kOverloaded);
  EXPECT_GT(refused->refusal().retry_after_s, 0);
  gate_.open();
  for (const auto& request : accepted) EXPECT_EQ(request->wait(), Status::kOk);
}

TEST_F(ServerFailureTest, RepliesThatNobodyTakesDoNotGrowWithoutEnd) {
  // Keeps its outputs for as long as it lives.
  struct Keeper : TestRequest {
    using TestRequest::TestRequest;
    void reply(Reply&& given) override {
      memory = given.memory;
      TestRequest::reply(std::move(given));
    }
    std::shared_ptr<const void> memory;
  };
  start(test_options());
  Refusal why;
  const auto model = server_->find_model("m", "", why);
  std::vector<std::shared_ptr<Keeper>> kept;
  Status status = Status::kOk;
  for (std::uint64_t i = 0; status == Status::kOk && i < 10'000; ++i) {
    kept.push_back(std::make_shared<Keeper>(model, 1, i));
    server_->infer(kept.back());
    status = kept.back()->wait();
  }
  EXPECT_EQ(status, Status::kOverloaded);
  const ModelStatistics statistics = server_->statistics("m", "").at(0);
  EXPECT_LE(statistics.memory_bytes, statistics.planned_bytes);
  kept.clear();
  EXPECT_EQ(send(1, 1)->wait(), Status::kOk);
}

// Clients that send until they are turned away.
TEST_F(ServerFailureTest, DrainsUnderLoad) {
  const int times = is_quick() ? 8 : 50;
  for (int i = 0; i < times; ++i) {
    ServerOptions options = test_options();
    options.instances = 1 + i % 2;
    options.max_batch = 8;
    start(options);
    std::atomic<int> wrong{0}, answered{0};
    std::vector<std::thread> clients;
    for (std::uint64_t t = 0; t < 3; ++t) {
      clients.emplace_back([&, t] {
        std::vector<std::shared_ptr<TestRequest>> sent;
        do {
          for (std::uint64_t k = 0; k < 10; ++k) {
            sent.push_back(send(static_cast<std::int64_t>(1 + (k * 5) % 12), t * 1000 + k));
          }
        } while (sent.back()->wait() == Status::kOk);
        for (const auto& request : sent) {
          const Status status = request->wait();
          if (status == Status::kOk) ++answered;
          if (status != Status::kOk && status != Status::kUnavailable) ++wrong;
          if (request->replies() != 1) ++wrong;
        }
      });
    }
    while (server_->statistics("m", "").at(0).success.count < 20) std::this_thread::yield();
    server_->drain();
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_GE(answered, 20);
    EXPECT_FALSE(server_->ready());
  }
}

}  // namespace
}  // namespace batchwise::serve

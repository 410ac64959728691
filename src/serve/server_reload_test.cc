// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <atomic>
#include <fstream>
#include <future>
#include <thread>

#include "serve/serving_test.h"

// Models that come, go and change while others are answered.
namespace batchwise::serve {
namespace {

namespace fs = std::filesystem;

// Waits for what load() and unload() say.
class Outcome {
 public:
  Server::Done done() {
    return [this](std::optional<Refusal> refusal) { promise_.set_value(std::move(refusal)); };
  }
  std::optional<Refusal> wait() { return promise_.get_future().get(); }

 private:
  std::promise<std::optional<Refusal>> promise_;
};

class ServerReloadTest : public ServingTest {
 protected:
  // Puts another model in place of the file, as a careful writer does.
  void replace(const std::string& path, std::uint64_t seed) {
    write_model(folder_ / "fresh/next.onnx", seed);
    fs::rename(folder_ / "fresh/next.onnx", path);
  }
  std::optional<Refusal> load(const std::string& name) {
    Outcome outcome;
    server_->load(name, "", outcome.done());
    return outcome.wait();
  }
  std::optional<Refusal> unload(const std::string& name) {
    Outcome outcome;
    server_->unload(name, outcome.done());
    return outcome.wait();
  }
  std::vector<IndexEntry> index() const { return server_->index(false); }
};

TEST_F(ServerReloadTest, LosesNoRequestOverReloads) {
  ServerOptions options = test_options();
  options.instances = 2;
  options.max_batch = 16;
  start(options);
  write_model(folder_ / "other.onnx", 1);
  const auto other = read_engine_model(folder_ / "other.onnx");
  constexpr int kThreads = 3;
  const int each = is_quick() ? 300 : 3400;
  std::atomic<int> left{kThreads}, wrong{0}, of_other{0};
  std::vector<std::thread> clients;
  for (int t = 0; t < kThreads; ++t) {
    clients.emplace_back([&, t] {
      Predictor first(engine_, 1, 1), second(other, 1, 1);
      for (int i = 0; i < each; i += 10) {
        std::vector<std::shared_ptr<TestRequest>> sent;
        for (int k = 0; k < 10; ++k) {
          sent.push_back(send(1 + (i + 3 * k) % 20, static_cast<std::uint64_t>(t * each + i + k)));
        }
        for (const auto& request : sent) {
          if (request->wait() != Status::kOk || request->replies() != 1) ++wrong;
          if (request->results() == predicted(first, *request)) continue;
          ++(request->results() == predicted(second, *request) ? of_other : wrong);
        }
      }
      --left;
    });
  }
  int reloads = 0;
  while (left > 0 || reloads < 4) {
    replace(folder_ / "m.onnx", reloads % 2 == 0 ? 1 : 0);
    EXPECT_EQ(load("m"), std::nullopt);
    ++reloads;
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(of_other, 0);
  RecordProperty("reloads", reloads);
}

TEST_F(ServerReloadTest, FollowsAFileThatChanges) {
  ServerOptions options = test_options();
  options.poll_files_s = 0.01;
  start(options);
  Refusal why;
  auto before = server_->find_model("m", "", why);
  replace(folder_ / "m.onnx", 1);
  while (server_->find_model("m", "", why) == before) std::this_thread::yield();
  const auto request = send(3, 1);
  ASSERT_EQ(request->wait(), Status::kOk);
  EXPECT_EQ(request->results(), predicted(read_engine_model(folder_ / "m.onnx"), *request));
  // One that cannot be read leaves the old one in place, until a good one comes.
  before = server_->find_model("m", "", why);
  std::ofstream(folder_ / "m.onnx") << "this is no model";
  while (index().at(0).reason.empty()) std::this_thread::yield();
  EXPECT_EQ(index().at(0).state, ModelState::kReady);
  EXPECT_EQ(server_->find_model("m", "", why), before);
  EXPECT_EQ(send(1, 1)->wait(), Status::kOk);
  replace(folder_ / "m.onnx", 2);
  while (server_->find_model("m", "", why) == before) std::this_thread::yield();
}

TEST_F(ServerReloadTest, LoadsAndUnloads) {
  start(test_options());
  const auto kept = make(2, 1);
  EXPECT_EQ(unload("m"), std::nullopt);
  Refusal why;
  EXPECT_EQ(server_->find_model("m", "", why), nullptr);
  EXPECT_EQ(why.status, Status::kUnavailable);
  ASSERT_EQ(index().size(), 1U);
  EXPECT_EQ(index()[0].state, ModelState::kUnavailable);
  EXPECT_THAT(server_->index(true), testing::IsEmpty());
  // Who had found it before is still answered.
  server_->infer(kept);
  EXPECT_EQ(kept->wait(), Status::kOk);
  EXPECT_EQ(load("m"), std::nullopt);
  EXPECT_EQ(index()[0].state, ModelState::kReady);
  EXPECT_EQ(send(1, 1)->wait(), Status::kOk);
  for (const char* name : {"n", "../m", "", ".", "m/../m", "a\nb"}) {
    const auto refusal = load(name);
    ASSERT_TRUE(refusal.has_value()) << name;
    EXPECT_EQ(refusal->status, Status::kNotFound) << name;
  }
  EXPECT_EQ(unload("n")->status, Status::kNotFound);
}

TEST_F(ServerReloadTest, ServesARepositoryLaidOutAsTritons) {
  write_model(folder_ / "models/a/1/model.onnx", 1);
  write_model(folder_ / "models/a/3/model.onnx", 3);
  write_model(folder_ / "models/a/12/other.onnx", 12);
  write_model(folder_ / "models/b.onnx", 2);
  write_model(folder_ / "models/.hidden/1/model.onnx", 2);
  fs::create_directories(folder_ / "models/empty");
  ServerOptions options = test_options();
  options.poll_files_s = 0.01;
  server_ = std::make_unique<BatchingServer>(options);
  server_->add_folder(folder_ / "models");
  server_->wait_ready();
  ASSERT_EQ(index().size(), 2U);
  EXPECT_EQ(index()[0].name, "a");
  EXPECT_EQ(index()[0].version, "3");
  EXPECT_EQ(index()[1].name, "b");
  // A newer version, and a model that was not there.
  write_model(folder_ / "models/a/10/model.onnx", 10);
  write_model(folder_ / "models/c/1/model.onnx", 4);
  Refusal why;
  while (server_->find_model("a", "10", why) == nullptr) std::this_thread::yield();
  while (server_->find_model("c", "1", why) == nullptr) std::this_thread::yield();
  EXPECT_EQ(server_->find_model("a", "3", why), nullptr);
  EXPECT_EQ(why.status, Status::kNotFound);
}

TEST_F(ServerReloadTest, RefusesModelsThatDoNotFitWithSizes) {
  ServerOptions options = test_options();
  options.resources.base.rss_bytes = 1 << 20;
  options.resources.memory_limit_bytes = (1 << 20) + (16 << 10);
  try {
    start(options);
    FAIL() << "it fits";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNo);
    EXPECT_THAT(error.what(), testing::HasSubstr("KiB"));
  }
  // With some more a smaller batch is taken; all that is planned fits.
  options.resources.memory_limit_bytes = (1 << 20) + (300 << 10);
  start(options);
  Refusal why;
  const auto model = server_->find_model("m", "", why);
  ASSERT_NE(model, nullptr);
  EXPECT_LT(model->max_batch_rows, 256);
  EXPECT_LE(server_->snapshot().planned_bytes, options.resources.memory_limit_bytes);
  const auto request = send(40, 1);
  EXPECT_EQ(request->wait(), Status::kOk);
  EXPECT_EQ(request->results(), predicted(engine_, *request));
  // A second one has no room, and the first goes on.
  write_model(folder_ / "big.onnx", 1);
  server_->add_model("big", folder_ / "big.onnx");
  EXPECT_THROW(server_->wait_ready(), Error);
  EXPECT_EQ(send(1, 1)->wait(), Status::kOk);
}

TEST_F(ServerReloadTest, RefusesWhatIsNoModel) {
  std::ofstream(folder_ / "m.onnx") << "this is no model";
  server_ = std::make_unique<BatchingServer>(test_options());
  server_->add_model("m", folder_ / "m.onnx");
  EXPECT_THROW(server_->wait_ready(), Error);
  EXPECT_FALSE(server_->ready());
  EXPECT_THROW(server_->add_model("../m", folder_ / "m.onnx"), Error);
  EXPECT_THROW(server_->add_model("m", folder_ / "m.onnx"), Error);
  EXPECT_THROW(server_->add_folder(folder_ / "nothing"), Error);
}

}  // namespace
}  // namespace batchwise::serve

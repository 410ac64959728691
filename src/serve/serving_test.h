// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "architectures/architecture.h"
#include "onnx_io/onnx_io.h"
#include "predict/predictor.h"
#include "serve/batching_server.h"

// What the tests of the server are made of.
namespace batchwise::serve {

// A folder that goes with the test.
class TestFolder {
 public:
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "batchwise-serve-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

// Eight numbers in, four out; another model for another seed.
inline void write_model(const std::string& path, std::uint64_t seed = 0) {
  ArchitectureOptions options;
  options.input = {8};
  options.classes = 4;
  options.hidden = {16, 16};
  options.seed = seed;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  onnx_io::write_onnx(make_architecture("mlp", options), path);
}

// A request whose reply is waited for. Numbers by `seed`.
class TestRequest : public InferenceRequest {
 public:
  TestRequest(std::shared_ptr<const ModelInfo> of, std::int64_t count, std::uint64_t seed)
      : values(static_cast<std::size_t>(count) * 8) {
    model = std::move(of);
    rows = count;
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>((seed * 7919 + i * 104729) % 2003) / 1000.0F - 1;
    }
    inputs.push_back({0, std::as_bytes(std::span(values))});
  }
  void reply(Reply&& given) override {
    const std::lock_guard lock(mutex_);
    ++replies_;
    refusal_ = given.refusal;
    timing_ = given.timing;
    for (const auto& output : given.outputs) {
      results_.resize(output.size() / sizeof(float));
      std::memcpy(results_.data(), output.data(), output.size());
    }
    changed_.notify_all();
  }
  Status wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return replies_ > 0; });
    return refusal_.status;
  }
  // After wait():
  const std::vector<float>& results() const { return results_; }
  const Refusal& refusal() const { return refusal_; }
  const RequestTiming& timing() const { return timing_; }
  int replies() const {
    const std::lock_guard lock(mutex_);
    return replies_;
  }

  std::vector<float> values;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int replies_ = 0;
  Refusal refusal_;
  RequestTiming timing_;
  std::vector<float> results_;
};

// What `predict` gives for the request's rows.
inline std::vector<float> predicted(Predictor& predictor, const TestRequest& request) {
  std::vector<float> results(static_cast<std::size_t>(request.rows) * 4);
  const std::vector<const void*> inputs{request.values.data()};
  const std::vector<void*> outputs{results.data()};
  predictor.run(inputs, request.rows, outputs);
  return results;
}

inline std::vector<float> predicted(const std::shared_ptr<const EngineModel>& engine,
                                    const TestRequest& request) {
  Predictor predictor(engine, 1, 1);
  return predicted(predictor, request);
}

// Holds batches back until it is opened.
class Gate {
 public:
  void close() {
    const std::lock_guard lock(mutex_);
    open_ = false;
    arrived_ = 0;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  // Of the batch: waits.
  void pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  // Waits until so many batches have come here, since the start or the last close().
  void wait_for(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
  int arrived_ = 0;
};

// Servers of one model "m" in a folder.
class ServingTest : public testing::Test {
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
  static bool is_quick() { return std::getenv("BATCHWISE_QUICK_TESTS") != nullptr; }

  TestFolder folder_;
  std::unique_ptr<BatchingServer> server_;
  std::shared_ptr<const EngineModel> engine_;
};

inline ServerOptions test_options() {
  ServerOptions options;
  options.threads = 1;
  // Sanitizers and other processes make everything slow.
  options.p99_us = 60e6;
  options.scheduler.may_wait = false;
  options.poll_files_s = 0;
  options.measures_when_idle = false;
  return options;
}

}  // namespace batchwise::serve

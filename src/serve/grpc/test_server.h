// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "serve/server.h"

namespace batchwise::serve {

inline TensorSpec tensor_spec(std::string name, DType dtype, std::int64_t width) {
  return {
      std::move(name), dtype, {-1, width}, width * static_cast<std::int64_t>(dtype_bytes(dtype))};
}

// Outputs are the inputs, in the same order: what came over the wire comes back.
inline std::shared_ptr<const ModelInfo> echo_model(const std::string& name,
                                                   const std::vector<DType>& dtypes,
                                                   std::int64_t width) {
  auto model = std::make_shared<ModelInfo>();
  model->name = name;
  model->version = "1";
  for (std::size_t i = 0; i < dtypes.size(); ++i) {
    model->inputs.push_back(tensor_spec("in" + std::to_string(i), dtypes[i], width));
    model->outputs.push_back(tensor_spec("out" + std::to_string(i), dtypes[i], width));
  }
  model->max_batch_rows = 32;
  model->max_request_rows = 4096;
  return model;
}

inline Reply echo_reply(const InferenceRequest& request) {
  Reply reply;
  reply.refusal.status = Status::kOk;
  reply.rows = request.rows;
  auto memory = std::make_shared<std::vector<std::vector<std::byte>>>();
  std::vector<std::size_t> wanted = request.outputs;
  if (wanted.empty()) {
    for (std::size_t i = 0; i < request.model->outputs.size(); ++i) wanted.push_back(i);
  }
  for (const std::size_t output : wanted) {
    for (const RequestTensor& tensor : request.inputs) {
      if (tensor.input == output) memory->emplace_back(tensor.bytes.begin(), tensor.bytes.end());
    }
  }
  for (const auto& bytes : *memory) reply.outputs.emplace_back(bytes);
  reply.memory = memory;
  return reply;
}

inline Reply refusal_reply(Status status, std::string message, double retry_after_s = 0) {
  Reply reply;
  reply.refusal = {status, std::move(message), retry_after_s};
  return reply;
}

// A server without an engine: echoes, at once or from a thread of its own, or does what the test
// says.
class TestServer final : public Server {
 public:
  using Infer = std::function<void(std::shared_ptr<InferenceRequest>)>;

  TestServer() {
    add(echo_model("echo", {DType::kFloat32}, 4));
    on_infer = [](std::shared_ptr<InferenceRequest> request) {
      request->reply(echo_reply(*request));
    };
  }
  ~TestServer() override { stop_thread(); }

  // Requests are echoed by another thread from here on, the last that waits first.
  void answer_from_thread() {
    thread_ = std::thread([this] { work(); });
    on_infer = [this](std::shared_ptr<InferenceRequest> request) {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(request));
      changed_.notify_all();
    };
  }
  void stop_thread() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    thread_.join();
  }

  void add(std::shared_ptr<const ModelInfo> model) { models_[model->name] = std::move(model); }

  bool ready() const override { return is_ready; }
  std::shared_ptr<const ModelInfo> find_model(std::string_view name, std::string_view version,
                                              Refusal& why) const override {
    const auto found = models_.find(std::string(name));
    if (found != models_.end() && (version.empty() || version == "1")) return found->second;
    why = {Status::kNotFound, "there is no model " + std::string(name.substr(0, 100)), 0};
    return nullptr;
  }
  std::int32_t client_of(std::string_view key) override {
    const std::lock_guard lock(mutex_);
    return clients_.try_emplace(std::string(key), static_cast<std::int32_t>(clients_.size()))
        .first->second;
  }
  void infer(std::shared_ptr<InferenceRequest> request) override {
    ++inferences;
    on_infer(std::move(request));
  }
  std::vector<ModelStatistics> statistics(std::string_view name, std::string_view) const override {
    if (!name.empty() && name != "echo") return {};
    ModelStatistics row;
    row.name = "echo";
    row.version = "1";
    row.inference_count = 7;
    row.execution_count = 3;
    row.success = {5, 250.5};
    row.batches[4].compute_infer = {2, 80};
    row.memory_bytes = 4096;
    return {row};
  }
  ServerSnapshot snapshot() const override { return {}; }
  std::vector<IndexEntry> index(bool ready_only) const override {
    std::vector<IndexEntry> rows{{"echo", "1", ModelState::kReady, ""}};
    if (!ready_only) rows.push_back({"broken", "2", ModelState::kUnavailable, "no such file"});
    return rows;
  }
  void load(const std::string& name, const std::string& config, Done done) override {
    loaded = name + "|" + config;
    std::thread([done = std::move(done), known = models_.count(name) != 0] {
      if (known) return done(std::nullopt);
      done(Refusal{Status::kNotFound, "no such model in the repository", 0});
    }).detach();
  }
  void unload(const std::string& name, Done done) override {
    load(name, "unload", std::move(done));
  }
  std::string config_json(std::string_view name, std::string_view) const override {
    if (name != "echo") return {};
    return R"({"name": "echo", "platform": "onnx_onnxv1", "max_batch_size": 32, "ours": 1,
      "input": [{"name": "in0", "data_type": "TYPE_FP32", "dims": [4]}],
      "dynamic_batching": {"preferred_batch_size": [4, 8], "max_queue_delay_microseconds": 100}})";
  }

  Infer on_infer;
  std::atomic<bool> is_ready{true};
  std::atomic<int> inferences{0};
  std::string loaded;

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      const auto request = std::move(waiting_.back());
      waiting_.pop_back();
      lock.unlock();
      request->reply(echo_reply(*request));
      lock.lock();
    }
  }

  std::map<std::string, std::shared_ptr<const ModelInfo>> models_;
  std::map<std::string, std::int32_t> clients_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<InferenceRequest>> waiting_;
  bool stopping_ = false;
};

}  // namespace batchwise::serve

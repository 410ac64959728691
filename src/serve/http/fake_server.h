// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "serve/server.h"

namespace batchwise::serve {

// A server for tests and measurements of protocols: output i has the bytes of input i, doubled
// where they are float32. Answers in infer(), on a thread of its own, or when it is told to.
class FakeServer : public Server {
 public:
  enum class Answers { kAtOnce, kOnThread, kWhenReleased };

  explicit FakeServer(Answers answers = Answers::kAtOnce) : answers_(answers) {
    if (answers == Answers::kOnThread) worker_ = std::jthread([this] { work(); });
  }
  ~FakeServer() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
  }

  void add(ModelInfo model) {
    const std::lock_guard lock(mutex_);
    const std::string name = model.name;
    models_[name] = std::make_shared<const ModelInfo>(std::move(model));
  }
  // A model of one input "x" and one output "y", float32, of rows of `columns`.
  void add_double(const std::string& name, std::int64_t columns) {
    const TensorSpec x{"x", DType::kFloat32, {-1, columns}, columns * 4};
    const TensorSpec y{"y", DType::kFloat32, {-1, columns}, columns * 4};
    add({name, "1", {x}, {y}, 32, 1'000'000, {}});
  }
  // The next requests get this instead of an answer; kOk ends it.
  void refuse_with(Refusal refusal) {
    const std::lock_guard lock(mutex_);
    refusal_ = std::move(refusal);
  }
  // Of kWhenReleased: waits until `count` requests are held.
  void wait_for_held(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return held_.size() >= count; });
  }
  std::shared_ptr<InferenceRequest> held(std::size_t index) {
    const std::lock_guard lock(mutex_);
    return held_.at(index);
  }
  // Answers those that are held, on the caller's thread; false where there were none.
  bool release() {
    std::deque<std::shared_ptr<InferenceRequest>> requests;
    {
      const std::lock_guard lock(mutex_);
      requests.swap(held_);
    }
    for (const auto& request : requests) answer(*request);
    return !requests.empty();
  }

  bool ready() const override { return true; }
  std::shared_ptr<const ModelInfo> find_model(std::string_view name, std::string_view version,
                                              Refusal& why) const override {
    const std::lock_guard lock(mutex_);
    const auto found = models_.find(std::string(name));
    if (found != models_.end() && (version.empty() || version == found->second->version)) {
      return found->second;
    }
    why = {Status::kNotFound, "there is no model " + std::string(name), 0};
    return nullptr;
  }
  std::int32_t client_of(std::string_view key) override {
    const std::lock_guard lock(mutex_);
    return clients_.try_emplace(std::string(key), static_cast<std::int32_t>(clients_.size()))
        .first->second;
  }
  void infer(std::shared_ptr<InferenceRequest> request) override {
    if (answers_ == Answers::kAtOnce) return answer(*request);
    {
      const std::lock_guard lock(mutex_);
      held_.push_back(std::move(request));
    }
    changed_.notify_all();
  }
  std::vector<ModelStatistics> statistics(std::string_view name, std::string_view) const override {
    const std::lock_guard lock(mutex_);
    std::vector<ModelStatistics> all;
    for (const auto& [key, model] : models_) {
      if (name.empty() || name == key) all.push_back(statistics_of(*model));
    }
    return all;
  }
  ServerSnapshot snapshot() const override {
    ServerSnapshot snapshot;
    snapshot.policy = "fake";
    snapshot.models = statistics({}, {});
    snapshot.decisions.push_back({1, "m", 2, 3, 4, 5, 6, "for a test"});
    return snapshot;
  }
  std::vector<IndexEntry> index(bool) const override {
    const std::lock_guard lock(mutex_);
    std::vector<IndexEntry> rows;
    for (const auto& [key, model] : models_) {
      rows.push_back({key, model->version, ModelState::kReady, ""});
    }
    return rows;
  }
  void load(const std::string& name, const std::string&, Done done) override {
    finish_later(name, std::move(done));
  }
  void unload(const std::string& name, Done done) override { finish_later(name, std::move(done)); }
  std::string config_json(std::string_view name, std::string_view) const override {
    return R"({"name":")" + std::string(name) + R"(","max_batch_size":32})";
  }

 private:
  static ModelStatistics statistics_of(const ModelInfo& model) {
    ModelStatistics statistics;
    statistics.name = model.name;
    statistics.version = model.version;
    statistics.inference_count = 7;
    statistics.execution_count = 3;
    statistics.success = {5, 1500};
    statistics.batches[2].compute_infer = {3, 900};
    for (int i = 0; i < 5; ++i) statistics.request_us.add(300);
    return statistics;
  }

  void finish_later(const std::string& name, Done done) {
    const std::lock_guard lock(mutex_);
    std::optional<Refusal> refusal;
    if (!models_.contains(name)) refusal = Refusal{Status::kNotFound, "no model " + name, 0};
    loaders_.emplace_back([done = std::move(done), refusal] { done(refusal); });
  }

  void answer(InferenceRequest& request) {
    Reply reply;
    {
      const std::lock_guard lock(mutex_);
      reply.refusal = refusal_;
    }
    if (request.cancelled) reply.refusal = {Status::kCancelled, "the client has gone", 0};
    if (reply.refusal.status == Status::kOk) fill(request, reply);
    request.reply(std::move(reply));
  }

  static void fill(const InferenceRequest& request, Reply& reply) {
    auto memory = std::make_shared<std::vector<std::vector<std::byte>>>();
    const ModelInfo& model = *request.model;
    const std::size_t count =
        request.outputs.empty() ? model.outputs.size() : request.outputs.size();
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t output = request.outputs.empty() ? i : request.outputs[i];
      for (const RequestTensor& tensor : request.inputs) {
        if (tensor.input != output) continue;
        memory->emplace_back(tensor.bytes.begin(), tensor.bytes.end());
        if (model.inputs[output].dtype == DType::kFloat32) double_floats(memory->back());
      }
    }
    for (const auto& bytes : *memory) reply.outputs.emplace_back(bytes);
    reply.rows = request.rows;
    reply.memory = memory;
  }

  static void double_floats(std::vector<std::byte>& bytes) {
    for (std::size_t i = 0; i + 4 <= bytes.size(); i += 4) {
      float value = 0;
      std::memcpy(&value, bytes.data() + i, 4);
      value *= 2;
      std::memcpy(bytes.data() + i, &value, 4);
    }
  }

  void work() {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stopping_ || !held_.empty(); });
        if (held_.empty()) return;
      }
      release();
    }
  }

  const Answers answers_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::shared_ptr<const ModelInfo>> models_;
  std::map<std::string, std::int32_t> clients_;
  std::deque<std::shared_ptr<InferenceRequest>> held_;
  Refusal refusal_{Status::kOk, "", 0};
  bool stopping_ = false;
  std::vector<std::jthread> loaders_;
  std::jthread worker_;
};

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/request.h"
#include "serve/statistics.h"

namespace batchwise::serve {

enum class ModelState : std::uint8_t { kLoading, kReady, kUnloading, kUnavailable };
std::string_view model_state_name(ModelState state);  // "LOADING", "READY", ... as Triton's

// A row of the repository's index.
struct IndexEntry {
  std::string name, version;
  ModelState state = ModelState::kUnavailable;
  std::string reason;  // of kUnavailable; of kReady: why a newer one could not be loaded
};

// A batch that was decided on lately, and why, for people.
struct DecisionRecord {
  double at_us = 0;
  std::string model;
  std::int64_t requests = 0, rows = 0, run_rows = 0;
  double expected_us = 0, took_us = 0;  // took_us 0: it still runs
  std::string why;                      // "ran 7: waiting 1.2 ms more would have cost 3 deadlines"
};

// What the server does now. A plain value, a snapshot.
struct ServerSnapshot {
  double now_us = 0, up_s = 0;
  std::string policy;
  int instances = 1, threads = 1;
  std::int64_t memory_limit_bytes = 0, planned_bytes = 0, resident_bytes = 0;
  std::int64_t connections = 0;
  std::vector<ModelStatistics> models;
  std::vector<DecisionRecord> decisions;  // the newest last
};

// The server behind its protocols: models, queue, instances. Thread-safe. Protocols know this class
// only, so that each can be tried alone and gRPC can be a module of its own.
class Server {
 public:
  virtual ~Server() = default;

  // True from when all models that were named at the start are loaded until it is being stopped.
  virtual bool ready() const = 0;

  // The version that requests for it go to now; an empty version means the newest that is ready.
  // Null where there is none; `why` then says so.
  virtual std::shared_ptr<const ModelInfo> find_model(std::string_view name,
                                                      std::string_view version,
                                                      Refusal& why) const = 0;
  // A number for whom fairness is kept with: the API key, else the connection.
  virtual std::int32_t client_of(std::string_view key) = 0;

  // Takes a request that fits its model (protocols check names, types, sizes; check_request() in
  // request_check.h helps) and calls request->reply() once, now or later.
  virtual void infer(std::shared_ptr<InferenceRequest> request) = 0;

  // Of one model (all versions, or one), or of all.
  virtual std::vector<ModelStatistics> statistics(std::string_view name,
                                                  std::string_view version) const = 0;
  virtual ServerSnapshot snapshot() const = 0;

  // The repository. load() and unload() call `done` from another thread; nothing means success. An
  // old version answers until the new one is ready. `config` is a Triton model configuration in
  // JSON, or empty.
  using Done = std::function<void(std::optional<Refusal>)>;
  virtual std::vector<IndexEntry> index(bool ready_only) const = 0;
  virtual void load(const std::string& name, const std::string& config, Done done) = 0;
  virtual void unload(const std::string& name, Done done) = 0;
  // The model's configuration as Triton's ModelConfig in JSON; empty where there is no such model.
  virtual std::string config_json(std::string_view name, std::string_view version) const = 0;
};

}  // namespace batchwise::serve

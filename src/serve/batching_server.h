// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "batching/memory_room.h"
#include "batching/request_queue.h"
#include "serve/batch_job.h"
#include "serve/batch_runner.h"
#include "serve/decision_log.h"
#include "serve/model_repository.h"
#include "serve/server.h"
#include "serve/server_options.h"
#include "serve/traffic_record.h"

namespace batchwise::serve {

// The server: one queue of all models' requests, and instances, each a thread that takes what
// decide() says, runs it and replies. Thread-safe; one mutex guards the queue and what belongs to
// it, and is held for decisions only.
class BatchingServer : public Server {
 public:
  // Starts the instances. Throws Error for options that make no sense.
  explicit BatchingServer(ServerOptions options);
  // Stops without waiting for what waits: drain() first. What is left is answered kUnavailable.
  ~BatchingServer() override;

  // Models that are to be served. A folder is laid out as Triton's repository: name/1/model.onnx.
  // Throws Error where there is none of it. Loading begins; wait_ready() waits for it.
  void add_model(const std::string& name, const std::string& path);
  void add_folder(const std::string& path);
  // Waits until all that was added is loaded, or was refused: then throws its Error.
  void wait_ready();

  // Accepts nothing more, answers all that was accepted, and stops.
  void drain();

  bool ready() const override;
  std::shared_ptr<const ModelInfo> find_model(std::string_view name, std::string_view version,
                                              Refusal& why) const override;
  std::int32_t client_of(std::string_view key) override;
  void infer(std::shared_ptr<InferenceRequest> request) override;
  std::vector<ModelStatistics> statistics(std::string_view name,
                                          std::string_view version) const override;
  ServerSnapshot snapshot() const override;
  std::vector<IndexEntry> index(bool ready_only) const override;
  void load(const std::string& name, const std::string& config, Done done) override;
  void unload(const std::string& name, Done done) override;
  std::string config_json(std::string_view name, std::string_view version) const override;

  int threads() const { return threads_; }

 private:
  // A request in the queue, or of which parts run.
  struct Pending {
    std::shared_ptr<InferenceRequest> request;
    std::unique_ptr<SplitRequest> split;  // null: it waits whole
  };

  std::shared_ptr<ModelVersion> load_version(const ModelSource& source);
  void admit(const std::shared_ptr<ModelVersion>& version);
  void keep_house();
  std::int64_t missing_bytes(const VersionBytes& more) const;
  std::int64_t planned_bytes(const VersionBytes& more) const;
  std::vector<std::shared_ptr<ModelVersion>> live_versions() const;

  // Of the instances' threads. Those with a lock want mutex_ held, and may let go of it.
  void work();
  bool take_job(BatchJob& job, BatchRunner& runner, std::unique_lock<std::mutex>& lock);
  void take_pieces(BatchJob& job);
  void take_piece(BatchJob& job, const RunningPiece& piece);
  void take_refused(BatchJob& job);
  SplitRequest& split(Pending& pending, std::int64_t rows);
  void end_split(BatchJob& job, Pending& pending, double deadline_us);
  void wait_for_work(BatchRunner& runner, double until_us, std::unique_lock<std::mutex>& lock);
  void measure_one(BatchRunner& runner, std::unique_lock<std::mutex>& lock);
  void measure(const std::shared_ptr<ModelVersion>& version, std::int64_t rows,
               BatchRunner& runner);
  bool ask_to_measure(const WaitingRequest& request);
  void run_job(BatchJob& job, BatchRunner& runner);
  void finish_job(BatchJob& job);
  void finish_piece(BatchJob& job, const RunningPiece& piece);
  void answer_whole(BatchJob& job);
  std::int64_t send_replies(BatchJob& job);
  void replace_curve(std::int32_t slot, const CostCurve& curve);
  std::optional<Refusal> enqueue(std::shared_ptr<InferenceRequest>& request, double now);

  Pending& pending(std::int64_t id) {
    return pending_[static_cast<std::size_t>(id - first_pending_)];
  }
  void forget_first_pending();
  Refusal overload(double now_us, const WaitingRequest& request) const;
  QueueSetup setup() const { return {curves_, scheduler_, kNoLimit}; }

  const ServerOptions options_;
  const int threads_;
  const MemoryRoom room_;
  const double start_us_;
  const std::shared_ptr<ModelSlots> slots_ = std::make_shared<ModelSlots>();

  mutable std::mutex mutex_;
  std::condition_variable work_, drained_;
  // Guarded by mutex_:
  SchedulerOptions scheduler_;
  RequestQueue queue_;
  std::vector<CostCurve> curves_;                      // by slot
  std::vector<std::weak_ptr<ModelVersion>> versions_;  // by slot
  std::deque<Pending> pending_;                        // by id, from first_pending_ on
  std::int64_t first_pending_ = 0, next_id_ = 0, unanswered_ = 0;
  int sleeping_ = 0;  // instances
  bool accepting_ = true, stopping_ = false, may_measure_ = false;
  double last_arrival_us_ = 0;
  // What is to be measured though requests come, since its curve refuses them all.
  std::weak_ptr<ModelVersion> probe_;
  std::int64_t probe_rows_ = 0;
  double probed_us_ = 0;
  DecisionLog decisions_;

  std::unique_ptr<TrafficRecord> record_;
  std::unique_ptr<ModelRepository> repository_;
  std::vector<std::thread> instances_;
};

}  // namespace batchwise::serve

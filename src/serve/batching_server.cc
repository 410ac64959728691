// SPDX-License-Identifier: Apache-2.0
#include "serve/batching_server.h"

#include <algorithm>
#include <functional>

#include "base/check.h"
#include "batching/memory_room.h"
#include "measure/process_memory.h"
#include "serve/config_json.h"
#include "serve/log.h"
#include "serve/request_check.h"

namespace batchwise::serve {
namespace {

// Clients are told apart by so many numbers; two that meet in one share what fairness gives it.
constexpr std::size_t kClientNumbers = 4096;

void check(const ServerOptions& options) {
  check_scheduler_options(options.scheduler);
  constexpr int kMost = 256;
  if (options.instances < 1 || options.instances > kMost) {
    fail_input("--instances", "{} is not from 1 to {}", options.instances, kMost);
  }
  if (options.threads < 0 || options.threads > kMost) {
    fail_input("--threads", "{} is not from 1 to {}", options.threads, kMost);
  }
  if (!(options.p99_us > 0)) fail_input("--p99", "{} us is not above 0", options.p99_us);
  constexpr std::int64_t kMostRows = 1 << 20;
  if (options.max_batch < 0 || options.max_batch > kMostRows) {
    fail_input("--max-batch", "{} is not from 1 to {}", options.max_batch, kMostRows);
  }
  if (options.max_request_rows < 1 || options.max_request_rows > kMostRows) {
    fail_input("--max-request-rows", "{} is not from 1 to {}", options.max_request_rows, kMostRows);
  }
}

int threads_of(const ServerOptions& options) {
  if (options.threads > 0) return options.threads;
  return std::max(1, thread_count(options.resources) / options.instances);
}

SchedulerOptions scheduler_of(const ServerOptions& options) {
  SchedulerOptions scheduler = options.scheduler;
  if (scheduler.latency_target_us == kNever) scheduler.latency_target_us = options.p99_us;
  scheduler.admission_window_us = options.p99_us;
  return scheduler;
}

const ModelVersion& version_of(const InferenceRequest& request) {
  return static_cast<const ModelVersion&>(*request.model);
}

void refuse(InferenceRequest& request, Refusal refusal, double arrival_us) {
  Reply reply;
  reply.refusal = std::move(refusal);
  reply.timing.arrival_us = arrival_us;
  request.reply(std::move(reply));
}

}  // namespace

BatchingServer::BatchingServer(ServerOptions options)
    : options_((check(options), std::move(options))),
      threads_(threads_of(options_)),
      room_(memory_room(options_.resources)),
      start_us_(now_us()),
      scheduler_(scheduler_of(options_)),
      queue_(options_.instances) {
  if (!options_.record.empty()) {
    record_ = std::make_unique<TrafficRecord>(options_.record, start_us_);
  }
  repository_ = std::make_unique<ModelRepository>(
      [this](const ModelSource& source) { return load_version(source); }, [this] { keep_house(); },
      options_.poll_files_s);
  for (int i = 0; i < options_.instances; ++i) instances_.emplace_back([this] { work(); });
}

BatchingServer::~BatchingServer() {
  repository_->stop();
  std::deque<Pending> left;
  {
    const std::lock_guard lock(mutex_);
    accepting_ = false;
    stopping_ = true;
  }
  work_.notify_all();
  for (std::thread& instance : instances_) instance.join();
  {
    const std::lock_guard lock(mutex_);
    left.swap(pending_);
  }
  for (Pending& waiting : left) {
    if (waiting.request) {
      refuse(*waiting.request, {Status::kUnavailable, "the server has stopped", 0}, now_us());
    }
  }
}

void BatchingServer::add_model(const std::string& name, const std::string& path) {
  repository_->add_file(name, path);
}
void BatchingServer::add_folder(const std::string& path) { repository_->add_folder(path); }
void BatchingServer::wait_ready() { repository_->wait_loaded(); }

void BatchingServer::drain() {
  {
    std::unique_lock lock(mutex_);
    accepting_ = false;
    // Nobody comes any more: there is no company to wait for.
    scheduler_.may_wait = false;
    scheduler_.max_queue_delay_us = 0;
    work_.notify_all();
    drained_.wait(lock, [this] { return unanswered_ == 0; });
    stopping_ = true;
  }
  work_.notify_all();
  for (std::thread& instance : instances_) {
    if (instance.joinable()) instance.join();
  }
  instances_.clear();
  repository_->stop();
  if (record_) record_->write();
}

bool BatchingServer::ready() const {
  {
    const std::lock_guard lock(mutex_);
    if (!accepting_) return false;
  }
  return repository_->is_loaded();
}

std::shared_ptr<const ModelInfo> BatchingServer::find_model(std::string_view name,
                                                            std::string_view version,
                                                            Refusal& why) const {
  return repository_->find(name, version, why);
}

std::int32_t BatchingServer::client_of(std::string_view key) {
  return static_cast<std::int32_t>(std::hash<std::string_view>()(key) % kClientNumbers);
}

void BatchingServer::infer(std::shared_ptr<InferenceRequest> request) {
  const double arrival_us = now_us();
  InferenceRequest& asked = *request;
  std::optional<Refusal> wrong = check_request(asked);
  if (!wrong && asked.cancelled.load(std::memory_order_relaxed)) {
    wrong = Refusal{Status::kCancelled, "the client has gone", 0};
  }
  if (!wrong) wrong = enqueue(request, arrival_us);
  if (!wrong) return;
  count_refusal(asked, wrong->status, now_us() - arrival_us);
  refuse(asked, std::move(*wrong), arrival_us);
}

std::optional<Refusal> BatchingServer::enqueue(std::shared_ptr<InferenceRequest>& request,
                                               double now) {
  WaitingRequest waiting;
  waiting.rows = static_cast<std::int32_t>(request->rows);
  waiting.model = version_of(*request).slot();
  waiting.client = request->client;
  // The default is the highest, so that nobody gains by asking for it.
  waiting.priority = std::max(0, request->priority - 1);
  const double timeout_us =
      request->timeout_us > 0 ? std::min(request->timeout_us, options_.p99_us) : options_.p99_us;
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (!accepting_) return Refusal{Status::kUnavailable, "the server is being stopped", 0};
    // Two that arrive at once may come here in another order than they looked at the clock.
    waiting.arrival_us = last_arrival_us_ = std::max(now, last_arrival_us_);
    waiting.deadline_us = waiting.arrival_us + timeout_us;
    waiting.id = next_id_;
    if (record_) record_->note_arrival(waiting);
    if (!queue_.arrive(setup(), waiting)) {
      if (ask_to_measure(waiting)) work_.notify_one();
      return overload(now, waiting);
    }
    pending_.push_back({std::move(request), nullptr});
    ++next_id_;
    ++unanswered_;
    wake = sleeping_ > 0;
  }
  if (wake) work_.notify_one();
  return std::nullopt;
}

bool BatchingServer::ask_to_measure(const WaitingRequest& request) {
  // An instance is free and nobody waits: the curve alone says no. It would never learn better
  // where nothing runs because of it.
  constexpr double kProbeEachUs = 20e3;
  if (queue_.num_waiting() > 0 || queue_.free_instances() == 0) return false;
  if (request.arrival_us < probed_us_ + kProbeEachUs) return false;
  probed_us_ = request.arrival_us;
  const CostCurve& curve = curves_[static_cast<std::size_t>(request.model)];
  const std::int64_t most = std::max<std::int64_t>(most_rows(curve, scheduler_, kNoLimit), 1);
  probe_rows_ = std::min<std::int64_t>(request.rows, most);
  probe_ = versions_[static_cast<std::size_t>(request.model)];
  return true;
}

Refusal BatchingServer::overload(double now, const WaitingRequest& request) const {
  const CostCurve& curve = curves_[static_cast<std::size_t>(request.model)];
  const std::int64_t most = most_rows(curve, scheduler_, kNoLimit);
  const double alone_us = curve.safe_us_alone(request.rows, most);
  const double given_us = request.deadline_us - request.arrival_us;
  if (alone_us > given_us) {
    return {Status::kDeadlineExceeded,
            fmt::format("{} rows take up to {:.3g} ms, and {:.3g} ms are given", request.rows,
                        alone_us / 1e3, given_us / 1e3),
            0};
  }
  const double wait_us = queue_.expected_wait_us(now);
  return {Status::kOverloaded,
          fmt::format("{} requests wait, for about {:.3g} ms", queue_.num_waiting(), wait_us / 1e3),
          std::max(wait_us, 1e3) / 1e6};
}

std::vector<ModelStatistics> BatchingServer::statistics(std::string_view name,
                                                        std::string_view version) const {
  std::vector<ModelStatistics> found;
  std::vector<std::shared_ptr<ModelVersion>> versions = repository_->ready();
  for (const auto& one : versions) {
    if (!name.empty() && one->name != name) continue;
    if (!version.empty() && one->version != version) continue;
    found.push_back(one->statistics());
    const std::lock_guard lock(mutex_);
    for (const WaitingRequest& waiting : queue_.waiting()) {
      if (waiting.model == one->slot() && waiting.rows > 0) ++found.back().pending;
    }
  }
  return found;
}

ServerSnapshot BatchingServer::snapshot() const {
  ServerSnapshot snapshot;
  snapshot.now_us = now_us();
  snapshot.up_s = (snapshot.now_us - start_us_) / 1e6;
  snapshot.policy = policy_name(options_.scheduler.policy);
  snapshot.instances = options_.instances;
  snapshot.threads = threads_;
  snapshot.memory_limit_bytes = room_.limit_bytes;
  snapshot.planned_bytes = room_.base_bytes + planned_bytes({});
  snapshot.resident_bytes = read_process_memory().rss_bytes;
  snapshot.models = statistics({}, {});
  const std::lock_guard lock(mutex_);
  snapshot.decisions = decisions_.records();
  return snapshot;
}

std::vector<IndexEntry> BatchingServer::index(bool ready_only) const {
  return repository_->index(ready_only);
}

void BatchingServer::load(const std::string& name, const std::string& config, Done done) {
  if (!config.empty()) {
    done(Refusal{Status::kUnsupported, "a model's configuration cannot be given in a request", 0});
    return;
  }
  repository_->load(name, std::move(done));
}
void BatchingServer::unload(const std::string& name, Done done) {
  repository_->unload(name, std::move(done));
}

std::string BatchingServer::config_json(std::string_view name, std::string_view version) const {
  Refusal why;
  const auto found = repository_->find(name, version, why);
  return found ? model_config_json(*found, options_.instances) : std::string();
}

std::vector<std::shared_ptr<ModelVersion>> BatchingServer::live_versions() const {
  std::vector<std::shared_ptr<ModelVersion>> live;
  const std::lock_guard lock(mutex_);
  for (const auto& version : versions_) {
    if (auto one = version.lock()) live.push_back(std::move(one));
  }
  return live;
}

std::int64_t BatchingServer::planned_bytes(const VersionBytes& more) const {
  std::int64_t own = more.own(), shared = more.arena + more.inputs;
  for (const auto& version : live_versions()) {
    own += version->bytes().own();
    shared = std::max(shared, version->bytes().arena + version->bytes().inputs);
  }
  return own + options_.instances * shared;
}

std::int64_t BatchingServer::missing_bytes(const VersionBytes& more) const {
  return std::max<std::int64_t>(0, planned_bytes(more) - room_.for_plan());
}

std::shared_ptr<ModelVersion> BatchingServer::load_version(const ModelSource& source) {
  LoadPlan plan = plan_load(source, options_, threads_,
                            [this](const VersionBytes& bytes) { return missing_bytes(bytes); });
  auto version =
      std::make_shared<ModelVersion>(std::move(plan.info), std::move(plan.engine), threads_,
                                     plan.bytes, std::move(plan.curve), SlotLease(slots_));
  admit(version);
  return version;
}

void BatchingServer::admit(const std::shared_ptr<ModelVersion>& version) {
  const auto slot = static_cast<std::size_t>(version->slot());
  if (record_) record_->note_model(version->slot(), version->name, version->version);
  const CostCurve curve = version->curve();
  const std::lock_guard lock(mutex_);
  while (curves_.size() <= slot) {
    curves_.push_back(curve);
    versions_.emplace_back();
  }
  curves_[slot] = curve;
  versions_[slot] = version;
  may_measure_ = options_.measures_when_idle;
  work_.notify_all();
}

void BatchingServer::keep_house() {
  if (record_) record_->write();
  // Instances that sleep let go of what belongs to versions that are gone.
  work_.notify_all();
}

}  // namespace batchwise::serve

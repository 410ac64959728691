// SPDX-License-Identifier: Apache-2.0
#include "study/serve_client.h"

#include <sys/prctl.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "base/check.h"
#include "batching/arrivals.h"
#include "serve/batch_job.h"
#include "serve/log.h"

namespace batchwise {
namespace {

using serve::InferenceRequest;

void sleep_until(double us) {
  constexpr double kSecond = 1e6;
  timespec at{};
  at.tv_sec = static_cast<time_t>(us / kSecond);
  at.tv_nsec = static_cast<long>((us - static_cast<double>(at.tv_sec) * kSecond) * 1e3);
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
}

// Wakes on time: Linux lets a sleeper lie for 50 us more.
class PunctualSleeper {
 public:
  PunctualSleeper() : slack_ns_(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0)) {
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
  }
  ~PunctualSleeper() {
    if (slack_ns_ > 0) prctl(PR_SET_TIMERSLACK, slack_ns_, 0, 0, 0);
  }
  PunctualSleeper(const PunctualSleeper&) = delete;
  PunctualSleeper& operator=(const PunctualSleeper&) = delete;

 private:
  int slack_ns_;
};

// Counts down the replies that are awaited. Shared: the last one may still be telling when the
// client goes on.
class Awaited {
 public:
  explicit Awaited(std::int64_t count) : left_(count) {}
  void arrived() {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) left_.notify_all();
  }
  void wait() const {
    for (std::int64_t left = left_.load(std::memory_order_acquire); left > 0;
         left = left_.load(std::memory_order_acquire)) {
      left_.wait(left, std::memory_order_acquire);
    }
  }

 private:
  std::atomic<std::int64_t> left_;
};

class OpenRequest : public InferenceRequest {
 public:
  void reply(serve::Reply&& reply) override {
    answered_us = serve::now_us();
    status = reply.refusal.status;
    awaited->arrived();
  }
  double scheduled_us = 0, answered_us = 0;
  serve::Status status = serve::Status::kInternal;
  std::shared_ptr<Awaited> awaited;
};

// What all requests of a closed loop share.
struct ClosedLoop {
  serve::Server* server = nullptr;
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> answered{0};
  std::shared_ptr<Awaited> underway;
};

class ClosedRequest : public InferenceRequest, public std::enable_shared_from_this<ClosedRequest> {
 public:
  explicit ClosedRequest(ClosedLoop& loop) : loop_(loop) {}
  void reply(serve::Reply&& reply) override {
    // A refusal comes before infer() has returned: sending again would never end.
    if (reply.refusal.status != serve::Status::kOk || loop_.stop.load(std::memory_order_relaxed)) {
      const std::shared_ptr<Awaited> underway = loop_.underway;  // the loop ends with the last one
      underway->arrived();
      return;
    }
    loop_.answered.fetch_add(1, std::memory_order_relaxed);
    loop_.server->infer(shared_from_this());
  }

 private:
  ClosedLoop& loop_;
};

std::vector<double> arrival_times(const LoadPlan& plan) {
  ArrivalOptions options;
  options.rate_per_s = plan.rate_per_s;
  options.requests = plan.requests;
  options.seed = plan.seed;
  ArrivalSource source(options);
  std::vector<double> times;
  for (Arrival arrival; source.next(arrival);) times.push_back(arrival.at_us);
  return times;
}

LoadBlock summarize(const std::vector<std::shared_ptr<OpenRequest>>& requests, double p99_us) {
  LoadBlock block;
  block.requests = static_cast<std::int64_t>(requests.size());
  double last_us = 0;
  for (const auto& request : requests) {
    last_us = std::max(last_us, request->answered_us);
    if (request->status != serve::Status::kOk) {
      ++block.refused;
      continue;
    }
    ++block.answered;
    block.latencies_us.push_back(request->answered_us - request->scheduled_us);
    if (block.latencies_us.back() > p99_us) ++block.late;
  }
  block.seconds = (last_us - requests.front()->scheduled_us) / 1e6;
  return block;
}

}  // namespace

ServeClient::ServeClient(const StudiedModel& model, const LoadedSamples& samples,
                         serve::ServerOptions options, std::function<void()> check_stop)
    : samples_(samples), check_stop_(std::move(check_stop)), name_("studied") {
  // A study has words of its own for what happens.
  serve::set_log_level(serve::LogLevel::kError);
  options.poll_files_s = 0;
  options.measures_when_idle = false;
  server_ = std::make_unique<serve::BatchingServer>(std::move(options));
  server_->add_model(name_, model.info.path);
  server_->wait_ready();
  info_ = find_model();
  wait_prepared();
}

ServeClient::~ServeClient() {
  info_.reset();
  server_->drain();
}

std::shared_ptr<const serve::ModelInfo> ServeClient::find_model() const {
  serve::Refusal why;
  auto found = server_->find_model(name_, "", why);
  BW_CHECK(found != nullptr, "{}", why.message);
  return found;
}

void ServeClient::wait_prepared() const {
  const auto& version = static_cast<const serve::ModelVersion&>(*info_);
  while (!version.missing_sizes().empty()) {
    check_stop_();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void ServeClient::fill(InferenceRequest& request, std::int64_t sample) const {
  request.model = info_;
  request.rows = 1;
  for (std::size_t i = 0; i < info_->inputs.size(); ++i) {
    const auto bytes = static_cast<std::size_t>(info_->inputs[i].row_bytes);
    const auto at = static_cast<std::size_t>(sample % samples_.count);
    request.inputs.push_back({i, std::span(samples_.features[i]).subspan(at * bytes, bytes)});
  }
}

LoadBlock ServeClient::run_open(const LoadPlan& plan) {
  const std::vector<double> times = arrival_times(plan);
  const auto awaited = std::make_shared<Awaited>(plan.requests);
  std::vector<std::shared_ptr<OpenRequest>> requests;
  for (std::int64_t i = 0; i < plan.requests; ++i) {
    requests.push_back(std::make_shared<OpenRequest>());
    fill(*requests.back(), i);
    requests.back()->awaited = awaited;
  }
  const serve::ModelStatistics before = server_->statistics(name_, "").front();
  const PunctualSleeper punctual;
  // A moment to come to rest.
  const double start_us = serve::now_us() + 1e3;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i]->scheduled_us = start_us + times[i];
    if (serve::now_us() < requests[i]->scheduled_us) sleep_until(requests[i]->scheduled_us);
    server_->infer(requests[i]);
  }
  awaited->wait();
  LoadBlock block = summarize(requests, plan.p99_us);
  const serve::ModelStatistics after = server_->statistics(name_, "").front();
  const auto batches = after.execution_count - before.execution_count;
  if (batches > 0) {
    block.mean_batch = static_cast<double>(after.inference_count - before.inference_count) /
                       static_cast<double>(batches);
  }
  return block;
}

double ServeClient::run_closed(std::int64_t underway, double seconds) {
  ClosedLoop loop;
  loop.server = server_.get();
  loop.underway = std::make_shared<Awaited>(underway);
  for (std::int64_t i = 0; i < underway; ++i) {
    auto request = std::make_shared<ClosedRequest>(loop);
    fill(*request, i);
    server_->infer(std::move(request));
  }
  const auto pause = [](double s) {
    std::this_thread::sleep_for(std::chrono::duration<double>(s));
  };
  pause(0.25 * seconds);  // to come up to speed
  const double begin_us = serve::now_us();
  const std::int64_t begin = loop.answered.load(std::memory_order_relaxed);
  pause(0.75 * seconds);
  const std::int64_t answered = loop.answered.load(std::memory_order_relaxed) - begin;
  const double took_us = serve::now_us() - begin_us;
  loop.stop.store(true, std::memory_order_relaxed);
  loop.underway->wait();
  return 1e6 * static_cast<double>(answered) / took_us;
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "client/load_run.h"

#include <sys/resource.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "measure/sampling.h"

namespace batchwise {
namespace {

constexpr double kProgressUs = 100e3;
// A closed loop waits this long after a loss: a server that is gone must not be hammered.
constexpr double kPauseAfterLossUs = 10e3;
constexpr double kGoneAfterUs = 3e6;
constexpr int kGoneAfterLosses = 20;

double now_us() { return monotonic_seconds() * 1e6; }

double thread_cpu_us() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const auto us = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

class LoadRun final : public InferReplyHandler {
 public:
  LoadRun(InferClient& client, RequestSet& requests, const LoadShape& shape)
      : client_(client), requests_(requests), shape_(shape), random_(shape.seed) {}

  LoadCounts run() {
    const double cpu_before_us = thread_cpu_us();
    start_us_ = now_us();
    begin_us_ = start_us_ + shape_.warmup_us;
    end_us_ = begin_us_ + shape_.duration_us;
    last_answer_us_ = start_us_;
    if (shape_.concurrency > 0) {
      for (std::int64_t i = 0; i < shape_.concurrency; ++i) send_next(start_us_);
    } else {
      has_arrival_ = shape_.arrivals->next(arrival_);
    }
    while (!is_over()) step();
    const double sent = std::max<double>(1, static_cast<double>(num_sent_));
    counts_.client_cpu_us = (thread_cpu_us() - cpu_before_us) / sent;
    finish();
    return std::move(counts_);
  }

  void on_reply(std::uint64_t tag, const InferReply& reply) override {
    const Flight flight = flights_[tag];
    free_.push_back(tag);
    --num_outstanding_;
    last_reply_us_ = reply.received_us;
    if (reply.status != InferStatus::kLost) {
      last_answer_us_ = reply.received_us;
      num_losses_ = 0;
    }
    count(flight, reply);
    if (shape_.concurrency == 0) return;
    if (reply.status != InferStatus::kLost) {
      send_next(reply.received_us);
    } else {
      paused_.push_back(reply.received_us + kPauseAfterLossUs);
    }
  }

 private:
  struct Flight {
    const RequestSet::Request* request = nullptr;
    double due_us = 0, limit_us = kNever;
    bool counts = false;
  };

  bool may_send(double at_us) const {
    if (is_stopped_ || at_us >= end_us_) return false;
    return shape_.requests == 0 || counts_.requests < shape_.requests;
  }

  // Of a closed loop: a request that is due now.
  void send_next(double at_us) {
    if (!may_send(at_us)) return;
    send(at_us, random_.integer(shape_.rows_low, shape_.rows_high), shape_.limit_us);
  }

  void send(double due_us, std::int64_t rows, double limit_us) {
    std::uint64_t tag = flights_.size();
    if (free_.empty()) {
      flights_.emplace_back();
    } else {
      tag = free_.back();
      free_.pop_back();
    }
    Flight& flight = flights_[tag];
    flight.request = &requests_.pick(rows);
    flight.due_us = due_us;
    flight.limit_us = limit_us;
    flight.counts = due_us >= begin_us_;
    if (flight.counts) {
      ++counts_.requests;
      counts_.rows += rows;
    }
    ++num_outstanding_;
    ++num_sent_;
    client_.send(*flight.request->prepared, tag, *this);
  }

  // All that is due by now. Gives way after a few, so that answers are read in time too.
  void send_due() {
    constexpr int kAtOnce = 64;
    const double now = now_us();
    for (int i = 0; i < kAtOnce && has_arrival_; ++i) {
      const double due_us = start_us_ + arrival_.at_us;
      if (due_us > now || !may_send(due_us)) break;
      send(due_us, arrival_.rows, std::min(shape_.limit_us, arrival_.timeout_us));
      has_arrival_ = shape_.arrivals->next(arrival_);
    }
    while (!paused_.empty() && paused_.front() <= now) {
      paused_.pop_front();
      send_next(now);
    }
  }

  double next_due_us() const {
    double next = paused_.empty() ? kNever : paused_.front();
    if (has_arrival_ && may_send(start_us_ + arrival_.at_us)) {
      next = std::min(next, start_us_ + arrival_.at_us);
    }
    return next;
  }

  void step() {
    send_due();
    const double now = now_us();
    if (now >= next_progress_us_) show_progress(now);
    if (num_losses_ >= kGoneAfterLosses && now - last_answer_us_ > kGoneAfterUs) {
      counts_.server_is_gone = true;
      stop(now);
    }
    client_.wait(std::min(next_due_us(), now + kProgressUs));
  }

  bool is_over() {
    const double now = now_us();
    const bool more_to_come = shape_.concurrency > 0 ? may_send(now) : next_due_us() < kNever;
    if (more_to_come) return false;
    if (num_outstanding_ == 0) return true;
    if (give_up_us_ == kNever) give_up_us_ = now + shape_.grace_us;
    return now > give_up_us_;
  }

  void show_progress(double now) {
    next_progress_us_ = now + kProgressUs;
    if (!shape_.on_progress) return;
    LoadProgress progress;
    progress.seconds = (now - start_us_) / 1e6;
    if (end_us_ < kNever) progress.of_seconds = (end_us_ - start_us_) / 1e6;
    progress.sent = num_sent_;
    progress.of_requests = shape_.requests;
    const double since_us = now - shown_us_;
    if (shown_us_ > 0 && since_us > 0) {
      progress.answers_per_s =
          1e6 * static_cast<double>(num_answered_ - shown_answered_) / since_us;
    }
    shown_us_ = now;
    shown_answered_ = num_answered_;
    if (!shape_.on_progress(progress) && !is_stopped_) {
      counts_.was_stopped = true;
      stop(now);
    }
  }

  void stop(double now) {
    is_stopped_ = true;
    end_us_ = std::min(end_us_, now);
    constexpr double kShortGraceUs = 1e6;
    give_up_us_ = now + std::min(shape_.grace_us, kShortGraceUs);
  }

  void count(const Flight& flight, const InferReply& reply) {
    const double latency_us = reply.received_us - flight.due_us;
    if (reply.status == InferStatus::kOk) {
      ++num_answered_;
      const bool in_time = latency_us <= flight.limit_us;
      if (reply.received_us >= begin_us_ && reply.received_us < end_us_) {
        ++window_answers_;
        window_rows_ += flight.request->rows;
        if (in_time) ++window_in_time_;
      }
      if (requests_.compares()) {
        ++counts_.checked;
        if (!requests_.has_expected_outputs(*flight.request, reply.outputs)) ++counts_.differing;
      }
      if (!flight.counts) return;
      ++counts_.answered;
      counts_.answered_rows += flight.request->rows;
      if (!in_time) ++counts_.late;
      counts_.latency.add_us(latency_us);
      counts_.send_lag.add_us(reply.sent_us - flight.due_us);
      return;
    }
    const bool is_fault =
        reply.status == InferStatus::kFailed || reply.status == InferStatus::kLost;
    if (is_fault && counts_.first_fault.empty()) counts_.first_fault = reply.message;
    if (reply.status == InferStatus::kLost) ++num_losses_;
    if (!flight.counts) return;
    switch (reply.status) {
      case InferStatus::kRefused:
        ++counts_.refused;
        return;
      case InferStatus::kExpired:
        ++counts_.expired;
        return;
      case InferStatus::kFailed:
        ++counts_.failed;
        return;
      default:
        ++counts_.lost;
    }
  }

  void finish() {
    client_.forget();
    for (const std::uint64_t tag : free_) flights_[tag].counts = false;
    counts_.lost += std::count_if(flights_.begin(), flights_.end(),
                                  [](const Flight& flight) { return flight.counts; });
    if (num_outstanding_ > 0 && counts_.first_fault.empty()) {
      counts_.first_fault = "no answer came in time";
    }
    // Without an end of its own the window ends with the last reply.
    const double end_us = end_us_ < kNever ? end_us_ : std::max(last_reply_us_, begin_us_);
    counts_.seconds = std::max(0.0, end_us - begin_us_) / 1e6;
    if (counts_.seconds == 0) return;
    counts_.answers_per_s = static_cast<double>(window_answers_) / counts_.seconds;
    counts_.in_time_per_s = static_cast<double>(window_in_time_) / counts_.seconds;
    counts_.rows_per_s = static_cast<double>(window_rows_) / counts_.seconds;
  }

  InferClient& client_;
  RequestSet& requests_;
  const LoadShape& shape_;
  SimulationRandom random_;
  LoadCounts counts_;

  std::vector<Flight> flights_;  // by tag
  std::vector<std::uint64_t> free_;
  std::deque<double> paused_;  // when those of a closed loop that were lost go on
  Arrival arrival_;
  bool has_arrival_ = false, is_stopped_ = false;

  double start_us_ = 0, begin_us_ = 0, end_us_ = 0, give_up_us_ = kNever;
  double last_answer_us_ = 0, last_reply_us_ = 0;
  double next_progress_us_ = 0, shown_us_ = 0;
  std::int64_t num_sent_ = 0, num_outstanding_ = 0, num_answered_ = 0, shown_answered_ = 0;
  std::int64_t window_answers_ = 0, window_in_time_ = 0, window_rows_ = 0;
  int num_losses_ = 0;  // in a row
};

}  // namespace

LoadCounts run_load(InferClient& client, RequestSet& requests, const LoadShape& shape) {
  return LoadRun(client, requests, shape).run();
}

}  // namespace batchwise

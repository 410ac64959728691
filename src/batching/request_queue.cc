// SPDX-License-Identifier: Apache-2.0
#include "batching/request_queue.h"

#include <algorithm>
#include <cmath>

namespace batchwise {
namespace {

// After so long, what somebody had counts for a third.
constexpr double kShareMemoryUs = 1e6;
// Space at the front of a queue that is kept before the rest moves up.
constexpr std::size_t kMoveUpAt = 1024;

const CostCurve& curve_of(const QueueSetup& setup, std::int32_t model) {
  return setup.models[static_cast<std::size_t>(model)];
}

}  // namespace

void TimeShares::add(std::size_t index, double us, double now_us) {
  if (us_.size() < 2) return;
  // What was long ago does not shrink: what comes counts for more and more, so that nothing is done
  // for those that are not here. Before numbers grow too large all are brought down.
  constexpr double kBringDownAfterUs = 100 * kShareMemoryUs;
  if (now_us - origin_us_ > kBringDownAfterUs) {
    const double keep = std::exp((origin_us_ - now_us) / kShareMemoryUs);
    for (double& had : us_) had *= keep;
    origin_us_ = now_us;
  }
  us_[index] += us * std::exp((now_us - origin_us_) / kShareMemoryUs);
}

bool TimeShares::had_little(std::size_t index) const {
  // Many have little each; whom it would be fair to prefer is then no question.
  constexpr double kFew = 64;
  double sum = 0, squares = 0;
  for (const double had : us_) sum += had, squares += had * had;
  if (squares <= 0 || sum * sum > kFew * squares) return false;
  const double own = index < us_.size() ? us_[index] : 0;
  return own < 0.5 * squares / sum;
}

RequestQueue::RequestQueue(int instances)
    : instances_(static_cast<std::size_t>(instances), 0.0), free_instances_(instances_.size()) {}

double RequestQueue::earliest_free_us(double now_us) const {
  if (free_instances_ > 0) return now_us;
  return *std::min_element(instances_.begin(), instances_.end());
}

double RequestQueue::expected_wait_us(double now_us) const {
  const double work_us = static_cast<double>(num_waiting()) * traffic_.work_us;
  return std::max(0.0, earliest_free_us(now_us) - now_us) +
         work_us / static_cast<double>(instances_.size());
}

bool RequestQueue::arrive(const QueueSetup& setup, const WaitingRequest& request) {
  const CostCurve& curve = curve_of(setup, request.model);
  if (setup.scheduler.policy == Policy::kDeadline) {
    note_arrival(traffic_, request.arrival_us, request.deadline_us - request.arrival_us,
                 request.rows, curve);
  }
  const std::int64_t most = most_rows(curve, setup.scheduler, setup.memory_bytes);
  if (!can_admit(request, curve, setup.scheduler, most, num_waiting(),
                 earliest_free_us(request.arrival_us))) {
    return false;
  }
  if (!has_time_for(setup, request)) return false;
  waiting_.push_back(request);
  if (backlog_) note_backlog(curve, request, request.rows);
  if (request.priority != 0) ++not_first_priority_;
  clients_.make_room(static_cast<std::size_t>(request.client) + 1);
  models_.make_room(setup.models.size());
  return true;
}

// The time of a machine that rows take at their best, as Traffic counts it.
void RequestQueue::note_backlog(const CostCurve& curve, const WaitingRequest& request,
                                std::int32_t rows) {
  const double timeout_us = request.deadline_us - request.arrival_us;
  const std::int64_t most = std::max<std::int64_t>(1, curve.rows_within_us(timeout_us / 2));
  backlog_->add(request.deadline_us, rows * curve.best_us_per_row(most));
}

bool RequestQueue::has_time_for(const QueueSetup& setup, const WaitingRequest& request) {
  const SchedulerOptions& options = setup.scheduler;
  if (options.policy != Policy::kDeadline || options.admission_window_us <= 0) return true;
  if (!backlog_) backlog_.emplace(options.admission_window_us);
  backlog_->advance(request.arrival_us);
  // Curves change while work waits: what is left of that goes here.
  if (num_waiting() == 0) backlog_->clear();
  const CostCurve& curve = curve_of(setup, request.model);
  const std::int64_t most = most_rows(curve, options, setup.memory_bytes);
  const double before_us =
      backlog_->due_us(request.deadline_us) / static_cast<double>(instances_.size());
  const double free_us = std::max(earliest_free_us(request.arrival_us), request.arrival_us);
  if (free_us + before_us + curve.safe_us_alone(request.rows, most) <= request.deadline_us) {
    return true;
  }
  // Who had little goes before those that wait.
  return clients_.had_little(static_cast<std::size_t>(request.client));
}

void RequestQueue::make_view(const QueueSetup& setup, double now_us) {
  view_ = QueueView();
  view_.waiting = waiting();
  view_.models = setup.models;
  view_.memory_bytes = setup.memory_bytes;
  if (setup.memory_bytes != kNoLimit) view_.free_bytes = setup.memory_bytes - held_bytes_;
  if (free_instances_ > 1) {
    view_.other_free_us = now_us;
  } else {
    for (const double at : instances_) {
      if (at > 0) view_.other_free_us = std::min(view_.other_free_us, std::max(at, now_us));
    }
  }
  view_.instances = static_cast<int>(instances_.size());
  view_.one_priority = not_first_priority_ == 0;
  view_.traffic = &traffic_;
  view_.state = &state_;
  view_.client_us = clients_.values();
  view_.model_us = models_.values();
}

const Decision& RequestQueue::decide(const QueueSetup& setup, double now_us) {
  make_view(setup, now_us);
  batchwise::decide(view_, setup.scheduler, now_us, decision_);
  return decision_;
}

bool RequestQueue::take(const QueueSetup& setup, double now_us, RunningBatch& batch) {
  refused_.clear();
  const bool starts = !decision_.batch.empty();
  if (starts) {
    const CostCurve& curve = curve_of(setup, decision_.model);
    take_instance(curve, now_us, batch);
    take_pieces(curve, batch);
  }
  drop_refused(setup);
  remove_taken();
  return starts;
}

void RequestQueue::take_instance(const CostCurve& curve, double now_us, RunningBatch& batch) {
  const auto free = std::find(instances_.begin(), instances_.end(), 0.0);
  batch.instance = static_cast<int>(free - instances_.begin());
  batch.model = decision_.model;
  batch.start_us = now_us;
  batch.rows = decision_.rows;
  batch.run_rows = decision_.run_rows;
  batch.bytes = curve.bytes(decision_.rows);
  held_bytes_ += batch.bytes;
  --free_instances_;
  *free = now_us + curve.safe_us(decision_.rows);
}

void RequestQueue::take_pieces(const CostCurve& curve, RunningBatch& batch) {
  batch.pieces.clear();
  const double us_a_row = curve.us(decision_.rows) / static_cast<double>(decision_.rows);
  for (const BatchPiece& piece : decision_.batch) {
    WaitingRequest& request = waiting_[head_ + piece.index];
    const bool whole = piece.rows == request.rows && !request.started;
    batch.pieces.push_back(
        {request.id, request.arrival_us, request.deadline_us, piece.rows, request.rows, whole});
    const double us = us_a_row * piece.rows;
    clients_.add(static_cast<std::size_t>(request.client), us, batch.start_us);
    models_.add(static_cast<std::size_t>(request.model), us, batch.start_us);
    if (backlog_) note_backlog(curve, request, -piece.rows);
    request.rows -= piece.rows;
    request.started = true;
    if (request.rows == 0 && request.priority != 0) --not_first_priority_;
  }
}

void RequestQueue::drop_refused(const QueueSetup& setup) {
  for (const std::size_t index : decision_.refused) {
    WaitingRequest& request = waiting_[head_ + index];
    refused_.push_back(request);
    if (backlog_) note_backlog(curve_of(setup, request.model), request, -request.rows);
    if (request.priority != 0) --not_first_priority_;
    request.rows = 0;
  }
}

void RequestQueue::remove_taken() {
  std::size_t taken = decision_.refused.size() + decision_.batch.size();
  while (head_ < waiting_.size() && waiting_[head_].rows == 0) {
    ++head_;
    if (taken > 0) --taken;
  }
  if (taken > 0) {
    const auto is_taken = [](const WaitingRequest& request) { return request.rows == 0; };
    const auto begin = waiting_.begin() + static_cast<std::ptrdiff_t>(head_);
    waiting_.erase(std::remove_if(begin, waiting_.end(), is_taken), waiting_.end());
  }
  if (head_ == waiting_.size()) {
    waiting_.clear();
    head_ = 0;
  } else if (head_ > kMoveUpAt && head_ > waiting_.size() / 2) {
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

void RequestQueue::finish(const QueueSetup& setup, const RunningBatch& batch) {
  instances_[static_cast<std::size_t>(batch.instance)] = 0;
  ++free_instances_;
  held_bytes_ -= batch.bytes;
  const Policy policy = setup.scheduler.policy;
  if (policy != Policy::kAimd && policy != Policy::kAdaptive) return;
  double longest_us = 0;
  for (const RunningPiece& piece : batch.pieces) {
    longest_us = std::max(longest_us, batch.start_us - piece.arrival_us);
  }
  note_batch(state_,
             {batch.rows, static_cast<std::int64_t>(batch.pieces.size()),
              batch.end_us - batch.start_us, longest_us, batch.end_us},
             setup.scheduler);
}

}  // namespace batchwise

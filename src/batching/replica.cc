// SPDX-License-Identifier: Apache-2.0
#include "batching/replica.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace batchwise {
namespace {

// What a client had counts for less as time goes by.
constexpr double kClientMemoryUs = 1e6;
// Space at the front of a queue that is kept before the rest moves up.
constexpr std::size_t kMoveUpAt = 1024;

}  // namespace

Replica::Replica(const SimulationOptions& options, int number)
    : options_(options),
      number_(number),
      instances_(static_cast<std::size_t>(options.instances), 0.0),
      free_instances_(instances_.size()) {}

double Replica::earliest_free_us(double now_us) const {
  if (free_instances_ > 0) return now_us;
  return *std::min_element(instances_.begin(), instances_.end());
}

bool Replica::arrive(const Arrival& arrival, std::int64_t id) {
  const CostCurve& curve = options_.models[static_cast<std::size_t>(arrival.model)];
  if (options_.scheduler.policy == Policy::kDeadline) {
    note_arrival(traffic_, arrival.at_us, arrival.timeout_us, arrival.rows, curve);
  }
  const WaitingRequest request{id,
                               arrival.at_us,
                               arrival.at_us + arrival.timeout_us,
                               arrival.rows,
                               arrival.model,
                               arrival.shape,
                               arrival.client,
                               arrival.priority};
  const std::int64_t most = most_rows(curve, options_.scheduler, options_.memory_bytes);
  if (!can_admit(request, curve, options_.scheduler, most, num_waiting(),
                 earliest_free_us(arrival.at_us))) {
    if (options_.on_refusal) options_.on_refusal(request);
    return false;
  }
  waiting_.push_back(request);
  if (arrival.priority != 0) ++not_first_priority_;
  if (static_cast<std::size_t>(arrival.client) >= client_us_.size()) {
    client_us_.resize(static_cast<std::size_t>(arrival.client) + 1);
  }
  ++outstanding_;
  return true;
}

QueueView Replica::make_view(double now_us) const {
  QueueView view;
  view.waiting = std::span(waiting_).subspan(head_);
  view.models = options_.models;
  view.memory_bytes = options_.memory_bytes;
  if (options_.memory_bytes != kNoLimit) view.free_bytes = options_.memory_bytes - held_bytes_;
  if (free_instances_ > 1) {
    view.other_free_us = now_us;
  } else {
    for (const double at : instances_) {
      if (at > 0) view.other_free_us = std::min(view.other_free_us, std::max(at, now_us));
    }
  }
  view.instances = options_.instances;
  view.one_priority = not_first_priority_ == 0;
  view.traffic = &traffic_;
  view.state = &state_;
  view.client_us = client_us_;
  return view;
}

bool Replica::start_batch(double now_us, RunningBatch& batch) {
  refused_.clear();
  wake_us_ = kNever;
  if (free_instances_ == 0 || head_ == waiting_.size()) return false;
  const QueueView view = make_view(now_us);
  decide(view, options_.scheduler, now_us, decision_);
  const bool starts = !decision_.batch.empty();
  if (starts) {
    const CostCurve& curve = options_.models[static_cast<std::size_t>(decision_.model)];
    const auto free = std::find(instances_.begin(), instances_.end(), 0.0);
    batch.instance = static_cast<int>(free - instances_.begin());
    batch.model = decision_.model;
    batch.start_us = now_us;
    batch.rows = decision_.rows;
    batch.bytes = curve.bytes(decision_.rows);
    held_bytes_ += batch.bytes;
    --free_instances_;
    *free = now_us + curve.safe_us(decision_.rows);
    if (options_.on_batch) {
      options_.on_batch(
          {number_, now_us, curve.us(decision_.rows), held_bytes_, &view, &decision_});
    }
    take_pieces(batch);
  }
  drop_refused();
  remove_taken();
  if (!starts) wake_us_ = decision_.wait_until_us;
  return starts;
}

void Replica::note_client(const WaitingRequest& request, double us, double now_us) {
  if (client_us_.size() < 2) return;
  const double keep = std::exp((client_decay_us_ - now_us) / kClientMemoryUs);
  client_decay_us_ = now_us;
  for (double& had : client_us_) had *= keep;
  client_us_[static_cast<std::size_t>(request.client)] += us;
}

void Replica::take_pieces(RunningBatch& batch) {
  batch.pieces.clear();
  const CostCurve& curve = options_.models[static_cast<std::size_t>(decision_.model)];
  const double us_a_row = curve.us(decision_.rows) / static_cast<double>(decision_.rows);
  for (const BatchPiece& piece : decision_.batch) {
    WaitingRequest& request = waiting_[head_ + piece.index];
    const bool whole = piece.rows == request.rows && !request.started;
    if (!whole) {
      const auto [split, is_new] = splits_.try_emplace(request.id);
      if (is_new) split->second.rows = request.rows;
    }
    batch.pieces.push_back(
        {request.id, request.arrival_us, request.deadline_us, piece.rows, whole});
    note_client(request, us_a_row * piece.rows, batch.start_us);
    request.rows -= piece.rows;
    request.started = true;
    if (request.rows == 0 && request.priority != 0) --not_first_priority_;
  }
}

void Replica::drop_refused() {
  for (const std::size_t index : decision_.refused) {
    WaitingRequest& request = waiting_[head_ + index];
    refused_.push_back(request);
    if (options_.on_refusal) options_.on_refusal(request);
    if (request.started) splits_.at(request.id).refused = true;
    if (request.priority != 0) --not_first_priority_;
    request.rows = 0;
    --outstanding_;
  }
}

void Replica::remove_taken() {
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

void Replica::finish(const RunningBatch& batch) {
  instances_[static_cast<std::size_t>(batch.instance)] = 0;
  ++free_instances_;
  held_bytes_ -= batch.bytes;
  const Policy policy = options_.scheduler.policy;
  if (policy == Policy::kAimd || policy == Policy::kAdaptive) {
    double waited_us = 0;
    for (const RunningPiece& piece : batch.pieces) waited_us += batch.start_us - piece.arrival_us;
    const auto count = static_cast<std::int64_t>(batch.pieces.size());
    note_batch(
        state_,
        {batch.rows, count, batch.end_us - batch.start_us, waited_us / static_cast<double>(count)},
        options_.scheduler);
  }
  for (const RunningPiece& piece : batch.pieces) outstanding_ -= piece.whole ? 1 : 0;
}

bool Replica::finish_part(const RunningPiece& piece) {
  const auto split = splits_.find(piece.id);
  BW_CHECK(split != splits_.end(), "request {} has no rest", piece.id);
  split->second.rows -= piece.rows;
  if (split->second.rows > 0) return false;
  const bool refused = split->second.refused;
  splits_.erase(split);
  outstanding_ -= refused ? 0 : 1;
  return !refused;
}

}  // namespace batchwise

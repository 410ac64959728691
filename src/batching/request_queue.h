// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include <optional>

#include "batching/backlog.h"
#include "batching/scheduler.h"

namespace batchwise {

// A piece of a request in a batch that runs.
struct RunningPiece {
  std::int64_t id = 0;
  double arrival_us = 0, deadline_us = kNever;
  std::int32_t rows = 0;
  std::int32_t waiting_rows = 0;  // of the request, before this piece was taken
  bool whole = true;              // all of the request is in this batch
};

struct RunningBatch {
  int instance = 0;
  std::int32_t model = 0;
  double start_us = 0, end_us = 0;
  std::int64_t rows = 0, run_rows = 0, bytes = 0;
  std::vector<RunningPiece> pieces;
};

// The machine's time that each of some had, which counts for less as time goes by.
class TimeShares {
 public:
  void make_room(std::size_t count) {
    if (count > us_.size()) us_.resize(count);
  }
  // Does nothing for one alone.
  void add(std::size_t index, double us, double now_us);
  std::span<const double> values() const { return us_; }
  // True for one that had less than half of what is usual, among few.
  bool had_little(std::size_t index) const;

 private:
  std::vector<double> us_;  // as if all of it had been at origin_us_
  double origin_us_ = 0;
};

// What does not change from one decision to the next.
struct QueueSetup {
  std::span<const CostCurve> models;  // by WaitingRequest::model
  const SchedulerOptions& scheduler;
  std::int64_t memory_bytes = kNoLimit;  // that all batches may hold
};

// What waits, the instances, and what the scheduler has learned: the server and the simulator's
// replicas are both made of it. Time is passed in and never goes back. Not for several threads.
class RequestQueue {
 public:
  explicit RequestQueue(int instances);

  // Takes a request that arrives at request.arrival_us. False where it is refused at once.
  bool arrive(const QueueSetup& setup, const WaitingRequest& request);
  bool can_start() const { return free_instances_ > 0 && num_waiting() > 0; }
  // Requires: can_start(). What to do now; the view that it was decided on is view().
  const Decision& decide(const QueueSetup& setup, double now_us);
  const QueueView& view() const { return view_; }
  // Carries the last decision out: takes an instance and the pieces of `batch`, which is filled but
  // for its end, and drops what was refused. False where nothing is to run; `batch` is then as it
  // was.
  bool take(const QueueSetup& setup, double now_us, RunningBatch& batch);
  // What the last take() refused.
  std::span<const WaitingRequest> refused() const { return refused_; }
  // The batch has ended, at batch.end_us: its instance is free.
  void finish(const QueueSetup& setup, const RunningBatch& batch);

  // When an instance is free, by the safe estimate.
  double earliest_free_us(double now_us) const;
  // Until what waits now has begun, about.
  double expected_wait_us(double now_us) const;
  std::size_t num_waiting() const { return waiting_.size() - head_; }
  std::span<const WaitingRequest> waiting() const { return std::span(waiting_).subspan(head_); }
  bool is_idle() const { return num_waiting() == 0 && free_instances_ == instances_.size(); }
  std::size_t free_instances() const { return free_instances_; }
  std::int64_t held_bytes() const { return held_bytes_; }
  const Decision& decision() const { return decision_; }
  const Traffic& traffic() const { return traffic_; }

 private:
  bool has_time_for(const QueueSetup& setup, const WaitingRequest& request);
  void note_backlog(const CostCurve& curve, const WaitingRequest& request, std::int32_t rows);
  void make_view(const QueueSetup& setup, double now_us);
  void take_instance(const CostCurve& curve, double now_us, RunningBatch& batch);
  void take_pieces(const CostCurve& curve, RunningBatch& batch);
  void drop_refused(const QueueSetup& setup);
  void remove_taken();

  std::vector<WaitingRequest> waiting_;  // from head_ on; rows 0: taken
  std::size_t head_ = 0;
  std::size_t not_first_priority_ = 0;
  std::vector<double> instances_;  // when each is free, by the safe estimate; 0: it is
  std::size_t free_instances_ = 0;
  std::int64_t held_bytes_ = 0;
  Traffic traffic_;
  std::optional<Backlog> backlog_;  // where requests are refused by it
  PolicyState state_;
  TimeShares clients_, models_;
  std::vector<WaitingRequest> refused_;
  QueueView view_;
  Decision decision_;
};

}  // namespace batchwise

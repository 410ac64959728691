// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "batching/simulator.h"

namespace batchwise {

// A piece of a request in a batch that runs.
struct RunningPiece {
  std::int64_t id = 0;
  double arrival_us = 0, deadline_us = kNever;
  std::int32_t rows = 0;
  bool whole = true;  // all of the request is in this batch
};

struct RunningBatch {
  int instance = 0;
  std::int32_t model = 0;
  double start_us = 0, end_us = 0;
  std::int64_t rows = 0, bytes = 0;
  std::vector<RunningPiece> pieces;
};

// One simulated server: a queue, instances, and what its scheduler has learned. Not for several
// threads.
class Replica {
 public:
  Replica(const SimulationOptions& options, int number);

  // False where the request is refused at once.
  bool arrive(const Arrival& arrival, std::int64_t id);
  // Starts at most one batch. True where one started: `batch` is filled but for its times' end.
  bool start_batch(double now_us, RunningBatch& batch);
  // What start_batch() refused in its last call.
  const std::vector<WaitingRequest>& refused() const { return refused_; }
  // When to look again though nothing arrives or ends; kNever: no need.
  double wake_us() const { return wake_us_; }
  void finish(const RunningBatch& batch);
  // True with the last rows of a request that was split, unless its rest was refused.
  bool finish_part(const RunningPiece& piece);

  std::int64_t outstanding() const { return outstanding_; }
  bool is_idle() const { return head_ == waiting_.size() && free_instances_ == instances_.size(); }
  std::size_t num_waiting() const { return waiting_.size() - head_; }

 private:
  struct Split {
    std::int64_t rows = 0;  // that have not come back
    bool refused = false;
  };

  QueueView make_view(double now_us) const;
  double earliest_free_us(double now_us) const;
  void take_pieces(RunningBatch& batch);
  void remove_taken();
  void drop_refused();
  void note_client(const WaitingRequest& request, double us, double now_us);

  const SimulationOptions& options_;
  const int number_;
  std::vector<WaitingRequest> waiting_;  // from head_ on; rows 0: taken
  std::size_t head_ = 0;
  std::size_t not_first_priority_ = 0;
  std::vector<double> instances_;  // when each is free, by the safe estimate; 0: it is
  std::size_t free_instances_ = 0;
  std::int64_t held_bytes_ = 0, outstanding_ = 0;
  double wake_us_ = kNever;
  Traffic traffic_;
  PolicyState state_;
  std::vector<double> client_us_;
  double client_decay_us_ = 0;
  std::unordered_map<std::int64_t, Split> splits_;
  std::vector<WaitingRequest> refused_;
  Decision decision_;
};

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <unordered_map>

#include "batching/request_queue.h"
#include "batching/simulator.h"

namespace batchwise {

// One simulated server: its queue, and what is left of requests that were split. Not for several
// threads.
class Replica {
 public:
  Replica(const SimulationOptions& options, int number);

  // False where the request is refused at once.
  bool arrive(const Arrival& arrival, std::int64_t id);
  // Starts at most one batch. True where one started: `batch` is filled but for its times' end.
  bool start_batch(double now_us, RunningBatch& batch);
  // How many start_batch() refused in its last call.
  std::int64_t num_refused() const { return num_refused_; }
  // When to look again though nothing arrives or ends; kNever: no need.
  double wake_us() const { return wake_us_; }
  void finish(const RunningBatch& batch);
  // True with the last rows of a request that was split, unless its rest was refused.
  bool finish_part(const RunningPiece& piece);

  std::int64_t outstanding() const { return outstanding_; }

 private:
  struct Split {
    std::int64_t rows = 0;  // that have not come back
    bool refused = false;
  };

  QueueSetup setup() const { return {options_.models, options_.scheduler, options_.memory_bytes}; }
  void note_splits(const RunningBatch& batch);
  void note_refused();

  const SimulationOptions& options_;
  const int number_;
  RequestQueue queue_;
  std::int64_t outstanding_ = 0, num_refused_ = 0;
  double wake_us_ = kNever;
  std::unordered_map<std::int64_t, Split> splits_;
};

}  // namespace batchwise

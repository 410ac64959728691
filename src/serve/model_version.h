// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "batching/curve_learning.h"
#include "engine/model.h"
#include "serve/model_slots.h"
#include "serve/output_pool.h"
#include "serve/request.h"
#include "serve/statistics.h"

namespace batchwise::serve {

// The bytes of a version, by what they are for. What instances share between models (the arena and
// the input buffer of the largest) is counted once by the server.
struct VersionBytes {
  std::int64_t weights = 0;   // the file, packed weights, graphs
  std::int64_t programs = 0;  // tables of the prepared sizes
  std::int64_t outputs = 0;   // the most that replies hold
  std::int64_t arena = 0;     // of an instance
  std::int64_t inputs = 0;    // of an instance

  std::int64_t own() const { return weights + programs + outputs; }
};

// A version of a model that is loaded: its programs, what is known of its cost, what became of its
// requests. What clients see of it, ModelInfo, does not change. Requests and executors own it
// together with the repository, so that it lives until its last reply. Thread-safe.
class ModelVersion : public ModelInfo {
 public:
  // `info` as clients see it; sizes up to info.max_batch_rows are prepared.
  ModelVersion(ModelInfo info, std::shared_ptr<const EngineModel> engine, int threads,
               VersionBytes bytes, CostCurve start, SlotLease slot);

  // What requests for it are filed under in the queue.
  std::int32_t slot() const { return slot_.number(); }
  const VersionBytes& bytes() const { return bytes_; }
  const EngineModel& engine() const { return *engine_; }

  // Compiles the program of a size that is to be prepared; slow.
  void prepare(std::int64_t rows);
  // The sizes that are not prepared yet, those worth most first.
  std::vector<std::int64_t> missing_sizes() const;
  // The smallest prepared program that takes so many rows. Requires: rows <= max_batch_rows.
  struct Prepared {
    std::int64_t rows = 0;
    std::shared_ptr<const CompiledProgram> program;
  };
  Prepared prepared(std::int64_t rows) const;

  const std::shared_ptr<OutputPool>& output_pool() const { return output_pool_; }

  // Notes what a run took. A new curve where the one in use is no longer right, else null; never
  // more often than each kCurveEachUs, but where `now_us` is kNever.
  std::shared_ptr<const CostCurve> learn(std::int64_t rows, double us, double now_us);
  CostCurve curve() const;
  // The size that is to be measured in idle time, or 0.
  std::int64_t next_to_measure() const;
  // So much processor time has gone into measuring.
  void note_measuring(double cpu_us);

  // Changes the statistics under their lock: update(ModelStatistics&).
  template <typename F>
  void update_statistics(F&& update) {
    const std::lock_guard lock(statistics_mutex_);
    update(statistics_);
  }
  ModelStatistics statistics() const;

 private:
  const std::shared_ptr<const EngineModel> engine_;
  const int threads_;
  const VersionBytes bytes_;
  const SlotLease slot_;
  const std::vector<std::int64_t> sizes_;  // to be prepared
  const std::shared_ptr<OutputPool> output_pool_;

  mutable std::mutex programs_mutex_;
  // Guarded by programs_mutex_.
  std::map<std::int64_t, std::shared_ptr<const CompiledProgram>> programs_;

  mutable std::mutex learner_mutex_;
  CurveLearner learner_;            // guarded by learner_mutex_, and what follows
  double curve_at_us_ = 0;          // when the last new curve was given out
  double measuring_left_us_ = 1e6;  // of processor time

  mutable std::mutex statistics_mutex_;
  ModelStatistics statistics_;  // guarded by statistics_mutex_
};

}  // namespace batchwise::serve

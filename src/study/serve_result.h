// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "measure/statistics.h"

// What the Serve chapter finds out: plain values, a part of study_result.h.
namespace batchwise {

// What a batch takes while all instances of a layout run one.
struct ServeBatchRow {
  std::int64_t batch_size = 0;
  Interval us;
  std::int64_t repeats = 0;
  std::int64_t bytes = 0;  // of one instance
};

// What a server does at some rate; times from a request's arrival to its answer.
struct ServePoint {
  double rate_per_s = 0;     // offered
  double goodput_per_s = 0;  // answered in time
  double p50_us = 0, p99_us = 0;
  double mean_batch = 0;  // rows
};

// The largest rate with a largest batch, from the simulator.
struct ServeLimit {
  std::int64_t max_batch = 0;
  double capacity_per_s = 0;  // were every batch of the best size
  ServePoint at;              // rate 0: there is none
  std::string why_not;
};

// A way to use the cores: so many instances of so many threads.
struct ServeLayout {
  std::int64_t instances = 1, threads = 1;
  std::vector<ServeBatchRow> rows;      // by rising batch size
  double batch_us = 0, request_us = 0;  // what the server spends beside the model
  ServeLimit answer;                    // with the batch limit that is best for it
};

// What a policy does at every rate, from the simulator.
struct ServeCurve {
  std::string policy;
  std::vector<ServePoint> points;  // by rising rate
};

// Real load on the real server, in this process, and what the simulator says of it.
struct ServeRun {
  std::string policy;
  double share = 0;  // of the largest rate
  ServePoint measured, simulated;
  Interval p50_us, p99_us;  // of the blocks of the run
  std::int64_t requests = 0, refused = 0, late = 0, blocks = 0;
};

struct ServeChapter {
  double p99_limit_us = 0;
  std::vector<ServeLayout> layouts;
  std::size_t chosen = 0;         // in `layouts`
  std::vector<ServeLimit> sizes;  // the chosen layout with its batch limit and the next ones
  std::vector<ServeCurve> curves;
  std::vector<ServeRun> runs;
  double queue_delay_us = 0;  // of the policy delay
  std::string note;           // what was left out, and why

  const ServeLayout& layout() const { return layouts[chosen]; }
  bool has_answer() const { return !layouts.empty() && layout().answer.at.rate_per_s > 0; }
};

}  // namespace batchwise

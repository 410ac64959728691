// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>

namespace batchwise {

struct SchedulerOptions;

// A batch that has finished.
struct FinishedBatch {
  std::int64_t rows = 0, requests = 0;
  double us = 0;               // that it ran
  double longest_wait_us = 0;  // of its requests, before it ran
  double end_us = 0;           // when it ended
};

// What the policies aimd and adaptive learn from batches. A plain value that note_batch() advances.
struct PolicyState {
  double aimd_rows = 1;  // Clipper: the largest batch for now

  // BentoML's dispatcher: time = us_a_request * requests + us_a_batch by least squares over the
  // last batches, and the mean over them of the longest that a request in them waited. Both are
  // taken again with a batch that ends at least kRefreshUs after the last time, and while it
  // trains.
  static constexpr std::size_t kRemembered = 50;
  static constexpr double kRefreshUs = 5e6;
  static constexpr std::int64_t kTraining = 3;  // its first batches wait for nobody
  std::array<float, kRemembered> requests{}, us{}, waits_us{};
  std::int64_t batches = 0;
  double refreshed_us = 0;
  double us_a_request = 0, us_a_batch = 0;
  double wait_us = 10'000;
};

void note_batch(PolicyState& state, const FinishedBatch& batch, const SchedulerOptions& options);

}  // namespace batchwise

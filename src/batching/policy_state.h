// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>

namespace batchwise {

struct SchedulerOptions;

// A batch that has finished.
struct FinishedBatch {
  std::int64_t rows = 0, requests = 0;
  double us = 0;            // that it ran
  double mean_wait_us = 0;  // of its requests, before it ran
};

// What the policies aimd and adaptive learn from batches. A plain value that note_batch() advances.
struct PolicyState {
  double aimd_rows = 1;  // Clipper: the largest batch for now

  // BentoML: time = us_a_row * rows + us_a_batch by least squares over the last batches.
  static constexpr std::size_t kRemembered = 50;
  std::array<float, kRemembered> rows{}, us{};
  std::int64_t batches = 0;
  double us_a_row = 0, us_a_batch = 0;
  double wait_us = 0;  // that requests had lately
};

void note_batch(PolicyState& state, const FinishedBatch& batch, const SchedulerOptions& options);

}  // namespace batchwise

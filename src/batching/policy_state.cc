// SPDX-License-Identifier: Apache-2.0
#include "batching/policy_state.h"

#include <algorithm>
#include <cmath>

#include "batching/scheduler.h"

namespace batchwise {
namespace {

// Adds a row where a full batch met the target, and takes a tenth where a batch missed it
// (Crankshaw et al., Clipper, NSDI 2017).
void adapt_rows(PolicyState& state, const FinishedBatch& batch, double target_us) {
  if (batch.us > target_us) {
    state.aimd_rows = std::max(1.0, state.aimd_rows * 0.9);
  } else if (static_cast<double>(batch.rows) >= std::floor(state.aimd_rows)) {
    state.aimd_rows += 1;
  }
}

// The line through the batches that is nearest in the sum of squares; of all through one point the
// one of least norm, as numpy.linalg.lstsq gives it.
void fit_line(PolicyState& state, std::size_t known) {
  double sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0;
  for (std::size_t i = 0; i < known; ++i) {
    const double x = state.requests[i], y = state.us[i];
    sum_x += x, sum_y += y, sum_xx += x * x, sum_xy += x * y;
  }
  const auto n = static_cast<double>(known);
  const double spread = n * sum_xx - sum_x * sum_x;
  double slope = 0, start = 0;
  if (spread > 1e-9 * n * sum_xx) {
    slope = (n * sum_xy - sum_x * sum_y) / spread;
    start = (sum_y - slope * sum_x) / n;
  } else {
    const double x = sum_x / n;
    start = sum_y / n / (x * x + 1);
    slope = start * x;
  }
  state.us_a_request = std::max(1.0, slope);
  state.us_a_batch = std::max(0.0, start);
}

void refresh(PolicyState& state) {
  const std::size_t known =
      std::min(PolicyState::kRemembered, static_cast<std::size_t>(state.batches));
  fit_line(state, known);
  double waited_us = 0;
  for (std::size_t i = 0; i < known; ++i) waited_us += state.waits_us[i];
  state.wait_us = std::max(0.0, waited_us / static_cast<double>(known));
}

}  // namespace

void note_batch(PolicyState& state, const FinishedBatch& batch, const SchedulerOptions& options) {
  if (options.policy == Policy::kAimd) adapt_rows(state, batch, options.latency_target_us);
  if (options.policy != Policy::kAdaptive) return;
  const std::size_t at = static_cast<std::size_t>(state.batches) % PolicyState::kRemembered;
  state.requests[at] = static_cast<float>(batch.requests);
  state.us[at] = static_cast<float>(batch.us);
  state.waits_us[at] = static_cast<float>(batch.longest_wait_us);
  ++state.batches;
  if (state.batches > PolicyState::kTraining &&
      batch.end_us - state.refreshed_us < PolicyState::kRefreshUs) {
    return;
  }
  state.refreshed_us = batch.end_us;
  refresh(state);
}

}  // namespace batchwise

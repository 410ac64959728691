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

void fit_line(PolicyState& state) {
  const std::size_t known =
      std::min<std::size_t>(PolicyState::kRemembered, static_cast<std::size_t>(state.batches));
  double sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0;
  for (std::size_t i = 0; i < known; ++i) {
    const double x = state.rows[i], y = state.us[i];
    sum_x += x, sum_y += y, sum_xx += x * x, sum_xy += x * y;
  }
  const auto n = static_cast<double>(known);
  const double spread = n * sum_xx - sum_x * sum_x;
  state.us_a_row = spread > 1e-9 ? std::max(0.0, (n * sum_xy - sum_x * sum_y) / spread) : 0;
  state.us_a_batch = std::max(0.0, (sum_y - state.us_a_row * sum_x) / n);
}

}  // namespace

void note_batch(PolicyState& state, const FinishedBatch& batch, const SchedulerOptions& options) {
  if (options.policy == Policy::kAimd) adapt_rows(state, batch, options.latency_target_us);
  if (options.policy != Policy::kAdaptive) return;
  const std::size_t at = static_cast<std::size_t>(state.batches) % PolicyState::kRemembered;
  state.rows[at] = static_cast<float>(batch.rows);
  state.us[at] = static_cast<float>(batch.us);
  ++state.batches;
  fit_line(state);
  // As many requests as the last batches had decide the mean.
  const double share = 1 - std::pow(0.95, static_cast<double>(batch.requests));
  state.wait_us += share * (batch.mean_wait_us - state.wait_us);
}

}  // namespace batchwise

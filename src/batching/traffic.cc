// SPDX-License-Identifier: Apache-2.0
#include "batching/traffic.h"

#include <algorithm>
#include <cmath>

namespace batchwise {

double Traffic::expected_expiries(double us) const {
  const std::size_t known = std::min<std::size_t>(kRemembered, static_cast<std::size_t>(arrivals));
  if (known == 0) return 0;
  double sum = 0;
  for (std::size_t i = 0; i < known; ++i) sum += std::max(0.0, us - slack_us[i]);
  return rate() * sum / static_cast<double>(known);
}

void note_arrival(Traffic& traffic, double at_us, double timeout_us, std::int64_t rows,
                  const CostCurve& curve) {
  // A request that came while a batch ran waits for it and then runs: a batch may take about half
  // of what its requests have.
  const std::int64_t most = std::max<std::int64_t>(1, curve.rows_within_us(timeout_us / 2));
  const double work = static_cast<double>(rows) * curve.best_us_per_row(most);
  const double alone = curve.safe_us_alone(rows, curve.max_rows());
  const double slack = std::min(std::max(0.0, timeout_us - alone), 1e30);
  traffic.slack_us[static_cast<std::size_t>(traffic.arrivals) % Traffic::kRemembered] =
      static_cast<float>(slack);
  // A plain mean at first, then one that forgets.
  const auto seen = static_cast<double>(traffic.arrivals);
  const double keep = 1 - 1 / std::min(seen + 1, double{Traffic::kRemembered});
  traffic.work_us = keep * traffic.work_us + (1 - keep) * work;
  if (traffic.arrivals > 0) {
    const double keep_gap = 1 - 1 / std::min(seen, double{Traffic::kRemembered});
    traffic.gap_us = keep_gap * traffic.gap_us + (1 - keep_gap) * (at_us - traffic.last_arrival_us);
  }
  traffic.last_arrival_us = at_us;
  ++traffic.arrivals;
}

}  // namespace batchwise

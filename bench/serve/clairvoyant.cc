// SPDX-License-Identifier: Apache-2.0
#include "../bench/serve/clairvoyant.h"

#include <algorithm>
#include <cmath>

namespace batchwise::bench {
namespace {

double least_work_us(const Arrival& arrival, const CostCurve& curve) {
  const std::int64_t most = curve.rows_within_us(arrival.timeout_us);
  if (most < 1 || arrival.rows * curve.best_us_per_row(most) > arrival.timeout_us) return kNever;
  return arrival.rows * curve.best_us_per_row(most);
}

// As many of the cheapest as fit.
double most_that_fit(std::vector<double>& work_us, double room_us) {
  std::sort(work_us.begin(), work_us.end());
  double count = 0;
  for (const double us : work_us) {
    if (us > room_us) return count + (us < kNever ? room_us / us : 0);
    room_us -= us;
    ++count;
  }
  return count;
}

}  // namespace

double clairvoyant_bound(std::span<const Arrival> arrivals, std::span<const CostCurve> models,
                         int instances) {
  double longest_us = 0;
  for (const Arrival& arrival : arrivals) longest_us = std::max(longest_us, arrival.timeout_us);
  auto best = static_cast<double>(arrivals.size());
  for (double stretch_us = 2 * longest_us; stretch_us < 4 * arrivals.back().at_us;
       stretch_us *= 2) {
    double bound = 0;
    std::vector<double> work_us;
    double end_us = stretch_us;
    for (std::size_t i = 0; i <= arrivals.size(); ++i) {
      if (i == arrivals.size() || arrivals[i].at_us >= end_us) {
        bound += most_that_fit(work_us, (stretch_us + longest_us) * instances);
        work_us.clear();
        if (i == arrivals.size()) break;
        end_us = (std::floor(arrivals[i].at_us / stretch_us) + 1) * stretch_us;
      }
      const auto model = static_cast<std::size_t>(arrivals[i].model);
      work_us.push_back(least_work_us(arrivals[i], models[model]));
    }
    best = std::min(best, bound);
  }
  return best;
}

}  // namespace batchwise::bench

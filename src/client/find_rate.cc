// SPDX-License-Identifier: Apache-2.0
#include "client/find_rate.h"

#include <algorithm>
#include <cmath>

#include "measure/statistics.h"

namespace batchwise {

std::string_view rate_verdict_name(RateVerdict verdict) {
  switch (verdict) {
    case RateVerdict::kHolds:
      return "holds";
    case RateVerdict::kFails:
      return "fails";
    case RateVerdict::kUnsure:
      return "unsure";
  }
  return {};
}

RateVerdict judge_rate(std::int64_t requests, std::int64_t late, double allowed,
                       double confidence) {
  if (requests < 1) return RateVerdict::kUnsure;
  if (binomial_cdf(late, requests, allowed) <= 1 - confidence) return RateVerdict::kHolds;
  // So many or more, if the share were what is allowed.
  const double at_least = late == 0 ? 1 : 1 - binomial_cdf(late - 1, requests, allowed);
  return at_least <= 1 - confidence ? RateVerdict::kFails : RateVerdict::kUnsure;
}

std::int64_t requests_to_judge(double allowed, double confidence) {
  return static_cast<std::int64_t>(std::ceil(std::log(1 - confidence) / std::log(1 - allowed)));
}

double confident_quantile_us(const LatencyHistogram& latencies, double quantile,
                             double confidence) {
  const std::int64_t requests = latencies.count();
  const double allowed = 1 - quantile;
  const auto holds = [&](std::int64_t over) {
    return binomial_cdf(over, requests, allowed) <= 1 - confidence;
  };
  if (requests < 1 || !holds(0)) return 0;
  // The most that may be over: holds() is true up to it.
  std::int64_t low = 0, high = requests;
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (holds(middle) ? low : high) = middle;
  }
  return latencies.largest_us(std::max<std::int64_t>(low, 1));
}

double find_rate(const std::function<bool(double rate_per_s, RateVerdict& verdict)>& try_rate,
                 const FindRateOptions& options) {
  constexpr double kStep = 1.5;  // until the answer lies between two rates
  double low = 0, high = 0, rate = options.first_per_s;
  for (int trial = 0; trial < options.most_trials; ++trial) {
    RateVerdict verdict = RateVerdict::kUnsure;
    if (!try_rate(rate, verdict)) break;
    (verdict == RateVerdict::kHolds ? low : high) = rate;
    if (high == 0) {
      rate = low * kStep;
    } else if (low == 0) {
      rate = high / kStep;
      if (rate < options.least_per_s) break;
    } else {
      if (high / low < 1 + options.precision) break;
      rate = std::sqrt(low * high);
    }
  }
  return low;
}

}  // namespace batchwise

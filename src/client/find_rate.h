// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "client/latency_histogram.h"

namespace batchwise {

enum class RateVerdict : std::uint8_t { kHolds, kFails, kUnsure };
std::string_view rate_verdict_name(RateVerdict verdict);  // "holds", "fails", "unsure"

// Whether the share of requests that are not answered in time is below `allowed`: with `confidence`
// it is (kHolds), or it is not (kFails), by the binomial distribution. `late` of `requests` were
// not in time.
RateVerdict judge_rate(std::int64_t requests, std::int64_t late, double allowed = 0.01,
                       double confidence = 0.99);
// The least number of requests for which kHolds can come out.
std::int64_t requests_to_judge(double allowed = 0.01, double confidence = 0.99);

// A latency that `quantile` of all requests do not exceed, with `confidence`: so many of the worst
// are left out as the confidence allows, and the worst of the rest is it (the early stopping of
// MLPerf LoadGen). 0 where there are too few.
double confident_quantile_us(const LatencyHistogram& latencies, double quantile,
                             double confidence = 0.99);

struct FindRateOptions {
  double first_per_s = 1;  // where to begin
  double precision =
      0.03;  // stop when the highest that holds is this near the lowest that does not
  int most_trials = 16;
  double least_per_s = 0.01;  // below it no rate holds
};

// The highest rate that holds, of those that `try_rate` was asked for; 0 where none does. What is
// unsure does not hold. `try_rate` may end the search by returning nothing.
double find_rate(const std::function<bool(double rate_per_s, RateVerdict& verdict)>& try_rate,
                 const FindRateOptions& options);

}  // namespace batchwise

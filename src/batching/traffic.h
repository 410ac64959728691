// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>

#include "batching/cost_curve.h"

namespace batchwise {

// What arrived lately: the rate, the work it brings, and how long requests can wait. A plain value
// that note_arrival() advances; a decision reads it.
struct Traffic {
  static constexpr std::size_t kRemembered = 32;

  double last_arrival_us = -1;
  double gap_us = 0;   // between arrivals, averaged over about kRemembered of them
  double work_us = 0;  // that an arrival brings, at the best batch its deadline allows
  std::array<float, kRemembered> slack_us{};  // deadline less arrival less its own time, the last
  std::int64_t arrivals = 0;

  // Arrivals a microsecond; 0 while unknown.
  double rate() const { return arrivals > 1 && gap_us > 0 ? 1 / gap_us : 0; }
  // The share of the machine's time that arrivals ask for, of `instances` instances.
  double load(int instances) const { return rate() * work_us / instances; }
  // The expected number of arrivals in the next `us` microseconds that cannot be answered in time
  // if nothing starts before these are over.
  double expected_expiries(double us) const;
};

// Requires: at_us not before the last arrival; rows at least 1.
void note_arrival(Traffic& traffic, double at_us, double timeout_us, std::int64_t rows,
                  const CostCurve& curve);

}  // namespace batchwise

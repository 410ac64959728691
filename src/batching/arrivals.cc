// SPDX-License-Identifier: Apache-2.0
#include "batching/arrivals.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace batchwise {
namespace {

bool is_share(double x) { return x > 0 && x < 1; }

void check(const ArrivalOptions& o) {
  if (!(o.rate_per_s > 0) || o.rate_per_s > 1e9) {
    fail_input("rate", "{} requests a second is not above 0 and at most 1e9", o.rate_per_s);
  }
  if (o.requests < 1) fail_input("requests", "{} is below 1", o.requests);
  if (!is_share(o.burst_share) || o.burst_rate < 1 || o.burst_rate * o.burst_share > 1 ||
      !(o.burst_us > 0)) {
    fail_input("bursty", "{} times the rate in {} of the time, for {} us, is no such load",
               o.burst_rate, o.burst_share, o.burst_us);
  }
  if (!(o.swing >= 0) || o.swing > 1 || !(o.day_us >= 0)) {
    fail_input("diurnal", "a swing of {} in {} us is no such load", o.swing, o.day_us);
  }
  for (const RequestKind& kind : o.kinds) {
    if (!(kind.weight > 0)) fail_input("requests", "a weight of {} is not above 0", kind.weight);
    if (kind.rows_low < 1 || kind.rows_high < kind.rows_low || kind.rows_high > (1 << 20)) {
      fail_input("rows", "from {} to {} is no range", kind.rows_low, kind.rows_high);
    }
    if (!(kind.timeout_us > 0)) fail_input("deadline", "{} us is not above 0", kind.timeout_us);
  }
}

}  // namespace

ArrivalPattern parse_arrival_pattern(const std::string& name, const std::string& where) {
  if (name == "poisson") return ArrivalPattern::kPoisson;
  if (name == "bursty") return ArrivalPattern::kBursty;
  if (name == "diurnal") return ArrivalPattern::kDiurnal;
  fail_input(where, "{} is unknown; there are poisson, bursty and diurnal, or a .csv", name);
}

ArrivalSource::ArrivalSource(const ArrivalOptions& options)
    : options_(options), gap_us_(1e6 / options.rate_per_s), random_(options.seed) {
  check(options);
  for (const RequestKind& kind : options_.kinds) total_weight_ += kind.weight;
  if (options_.day_us == 0) options_.day_us = gap_us_ * static_cast<double>(options_.requests);
}

// The rate is constant until the burst begins or ends; what is left of a gap then starts afresh, as
// an exponential may.
void ArrivalSource::advance_bursty() {
  const double calm_rate =
      (1 - options_.burst_rate * options_.burst_share) / (1 - options_.burst_share);
  while (true) {
    const double rate = in_burst_ ? options_.burst_rate : calm_rate;
    const double next_us = rate > 0 ? now_us_ + random_.exponential(gap_us_ / rate) : kNever;
    if (next_us <= burst_end_us_) {
      now_us_ = next_us;
      return;
    }
    now_us_ = burst_end_us_;
    in_burst_ = !in_burst_;
    const double calm_us = options_.burst_us * (1 / options_.burst_share - 1);
    burst_end_us_ = now_us_ + random_.exponential(in_burst_ ? options_.burst_us : calm_us);
  }
}

// By thinning of the highest rate (Lewis and Shedler, 1979).
void ArrivalSource::advance_diurnal() {
  const double most = 1 + options_.swing;
  double rate = 0;
  do {
    now_us_ += random_.exponential(gap_us_ / most);
    rate = 1 - options_.swing * std::cos(2 * std::numbers::pi * now_us_ / options_.day_us);
  } while (random_.uniform() * most > rate);
}

void ArrivalSource::advance() {
  switch (options_.pattern) {
    case ArrivalPattern::kPoisson:
      now_us_ += random_.exponential(gap_us_);
      return;
    case ArrivalPattern::kBursty:
      return advance_bursty();
    case ArrivalPattern::kDiurnal:
      return advance_diurnal();
  }
}

bool ArrivalSource::next(Arrival& arrival) {
  if (from_list_) {
    if (given_ == list_.size()) return false;
    arrival = list_[given_++];
    return true;
  }
  if (given_ == static_cast<std::size_t>(options_.requests)) return false;
  ++given_;
  advance();
  const RequestKind* kind = &options_.kinds.front();
  if (options_.kinds.size() > 1) {
    double at = random_.uniform() * total_weight_;
    for (const RequestKind& candidate : options_.kinds) {
      kind = &candidate;
      at -= candidate.weight;
      if (at < 0) break;
    }
  }
  const std::int64_t rows = kind->rows_low == kind->rows_high
                                ? kind->rows_low
                                : random_.integer(kind->rows_low, kind->rows_high);
  arrival = {now_us_,       kind->timeout_us, static_cast<std::int32_t>(rows),
             kind->model,   kind->shape,      kind->client,
             kind->priority};
  return true;
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "batching/backlog.h"

#include <algorithm>
#include <cmath>

namespace batchwise {

Backlog::Backlog(double window_us) : step_us_(window_us / (kSteps - 2)) {}

void Backlog::advance(double now_us) {
  const auto first = static_cast<std::int64_t>(std::floor(now_us / step_us_));
  if (first <= first_) return;
  if (first - first_ >= kSteps) {
    clear();
  } else {
    for (std::int64_t step = first_; step < first; ++step) work(step) = 0;
  }
  first_ = first;
}

std::int64_t Backlog::step_of(double deadline_us) const {
  const double step = std::floor(deadline_us / step_us_);
  const auto last = static_cast<double>(first_ + kSteps - 1);
  return static_cast<std::int64_t>(std::clamp(step, static_cast<double>(first_), last));
}

void Backlog::add(double deadline_us, double work_us) {
  double& sum = work(step_of(deadline_us));
  sum = std::max(0.0, sum + work_us);
}

double Backlog::due_us(double deadline_us) const {
  double sum = 0;
  const std::int64_t last = step_of(deadline_us);
  for (std::int64_t step = first_; step <= last; ++step) {
    sum += work_us_[static_cast<std::size_t>(step % kSteps)];
  }
  return sum;
}

void Backlog::clear() { work_us_.fill(0); }

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "batching/curve_learning.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace batchwise {
namespace {

// Fewer runs say nothing yet.
constexpr std::int64_t kFewRuns = 3;
// The interval of a run's time, in deviations, and its least half-width.
constexpr double kDeviations = 2, kLeastWidth = 0.03;

// Changes the order of `values`. Requires: not empty.
float median_of(std::span<float> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

void LearnedTime::note(double us) {
  last_us[static_cast<std::size_t>(runs) % kRemembered] = static_cast<float>(us);
  ++runs;
  std::array<float, kRemembered> sorted = last_us;
  const std::span known(sorted.data(), std::min(static_cast<std::size_t>(runs), kRemembered));
  const float median = median_of(known);
  for (float& value : known) value = std::abs(value - median);
  // Of a normal distribution half of the values lie within 0.6745 deviations.
  constexpr double kNormal = 1.4826;
  median_us = median;
  deviation_us = kNormal * median_of(known);
}

CurveLearner::CurveLearner(CostCurve start) : start_(std::move(start)), curve_(start_) {}

CostPoint CurveLearner::learned_point(std::int64_t rows, const LearnedTime& time) const {
  const double half = std::max(kDeviations * time.deviation_us, kLeastWidth * time.median_us);
  CostPoint point;
  point.rows = rows;
  point.us.median = time.median_us;
  point.us.low = std::max(time.median_us - half, 0.1 * time.median_us);
  point.us.high = time.median_us + half;
  point.us.covers = time.runs >= static_cast<std::int64_t>(LearnedTime::kRemembered / 2);
  point.bytes = start_.bytes(rows);
  return point;
}

void CurveLearner::note(std::int64_t rows, double us) {
  BW_CHECK(rows >= 1 && rows <= start_.max_rows() && us > 0, "{} rows, {} us", rows, us);
  LearnedTime& time = times_[rows];
  time.note(us);
  if (time.runs < kFewRuns || moved_) return;
  const CostPoint now = learned_point(rows, time);
  const double middle = curve_.us(rows), high = curve_.safe_us(rows);
  // What was a wide guess is replaced as soon as it is known better.
  moved_ = std::abs(now.us.median - middle) > 0.05 * middle ||
           std::abs(now.us.high - high) > 0.15 * high;
}

double CurveLearner::ratio(const LearnedTime& time, std::int64_t rows) const {
  return time.median_us / start_.us(rows);
}

CostPoint CurveLearner::moved_point(const CostPoint& start) const {
  const auto is_known = [](const auto& entry) { return entry.second.runs >= kFewRuns; };
  const auto above = std::find_if(times_.lower_bound(start.rows), times_.end(), is_known);
  auto below = times_.end();
  for (auto it = times_.begin(); it != times_.end() && it->first < start.rows; ++it) {
    if (is_known(*it)) below = it;
  }
  if (above == times_.end() && below == times_.end()) return start;
  double scale = 1;
  if (above == times_.end()) {
    scale = ratio(below->second, below->first);
  } else if (below == times_.end()) {
    scale = ratio(above->second, above->first);
  } else {
    const double low = std::log(static_cast<double>(below->first));
    const double high = std::log(static_cast<double>(above->first));
    const double part = (std::log(static_cast<double>(start.rows)) - low) / (high - low);
    const double a = ratio(below->second, below->first), b = ratio(above->second, above->first);
    scale = a + part * (b - a);
  }
  CostPoint point = start;
  point.us.median *= scale;
  point.us.low *= scale;
  point.us.high *= scale;
  return point;
}

const CostCurve& CurveLearner::update() {
  std::vector<CostPoint> points;
  for (const auto& [rows, time] : times_) {
    if (time.runs >= kFewRuns) points.push_back(learned_point(rows, time));
  }
  for (const CostPoint& start : start_.points()) {
    const auto known = times_.find(start.rows);
    if (known != times_.end() && known->second.runs >= kFewRuns) continue;
    points.push_back(moved_point(start));
  }
  curve_ = CostCurve(std::move(points));
  moved_ = false;
  return curve_;
}

std::int64_t CurveLearner::runs(std::int64_t rows) const {
  const auto found = times_.find(rows);
  return found == times_.end() ? 0 : found->second.runs;
}

std::int64_t next_to_measure(const CurveLearner& learner, std::span<const std::int64_t> sizes,
                             std::int64_t wanted) {
  std::int64_t next = 0, least = wanted;
  for (const std::int64_t size : sizes) {
    const std::int64_t runs = learner.runs(size);
    if (runs < least) next = size, least = runs;
  }
  return next;
}

}  // namespace batchwise

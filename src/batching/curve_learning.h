// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "batching/cost_curve.h"

namespace batchwise {

// What the last runs of one batch size took. Medians, so that runs that were held up by something
// else count for nothing while they are few, the first one included; a machine that has become slow
// is followed once it makes up half of what is remembered. A plain value.
struct LearnedTime {
  static constexpr std::size_t kRemembered = 31;

  std::int64_t runs = 0;  // seen, in all
  std::array<float, kRemembered> last_us{};
  // Of those remembered; kept up to date by note().
  double median_us = 0;
  double deviation_us = 0;  // the median distance to the median, as of a normal distribution

  void note(double us);
};

// A cost curve that follows what runs take. It starts from a curve that was measured elsewhere, or
// estimated; sizes that were run replace it there, and sizes between and beyond them are moved in
// proportion. A value, not for several threads.
class CurveLearner {
 public:
  explicit CurveLearner(CostCurve start);

  // A run of `rows` rows took so long. Requires: 1 <= rows <= the start's max_rows(), us above 0.
  void note(std::int64_t rows, double us);
  // True where a size's time has left the interval of curve().
  bool has_moved() const { return moved_; }
  // Makes a new curve from all that was seen. has_moved() is false afterwards.
  const CostCurve& update();
  const CostCurve& curve() const { return curve_; }
  // How often this size was run.
  std::int64_t runs(std::int64_t rows) const;

 private:
  CostPoint learned_point(std::int64_t rows, const LearnedTime& time) const;
  CostPoint moved_point(const CostPoint& start) const;
  double ratio(const LearnedTime& time, std::int64_t rows) const;

  CostCurve start_, curve_;
  std::map<std::int64_t, LearnedTime> times_;  // by rows
  bool moved_ = false;
};

// The size to measure next, the smallest of those that were run least; 0 where each was run
// `wanted` times.
std::int64_t next_to_measure(const CurveLearner& learner, std::span<const std::int64_t> sizes,
                             std::int64_t wanted);

}  // namespace batchwise

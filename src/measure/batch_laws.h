// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "measure/statistics.h"

// What is known about batch size, as pure functions of plain values.
namespace batchwise {

// What the gradients of the lanes of one batch say about noise (McCandlish et al. 2018): unbiased
// estimates, so that either may come out negative by chance. Average both over steps, each apart,
// and divide last (GradientNoiseMean).
struct GradientNoise {
  double grad_norm2 = 0;   // |G|^2 of the true gradient
  double trace_sigma = 0;  // tr(Sigma), the variance of one sample's gradient
  // The simple noise scale tr(Sigma)/|G|^2, in samples; nothing where |G|^2 is not positive.
  std::optional<double> b_simple() const;
};

// From the squared norm of each lane's mean gradient, the samples in each lane and the squared norm
// of the whole batch's mean gradient. Nothing where there are fewer than two lanes. Requires:
// the spans have one length; every lane has at least one sample.
std::optional<GradientNoise> estimate_gradient_noise(std::span<const double> lane_norm2,
                                                     std::span<const std::int64_t> lane_samples,
                                                     double batch_norm2);

// The mean over steps of the two estimates, each apart (a ratio of means, not a mean of ratios).
class GradientNoiseMean {
 public:
  void add(const GradientNoise& noise);
  std::int64_t count() const { return count_; }
  GradientNoise mean() const;

 private:
  std::int64_t count_ = 0;
  GradientNoise sum_;
};

// A straight line y = intercept + slope * x by weighted least squares, with 95 % intervals.
struct LineFit {
  Interval intercept;
  Interval slope;
};

// Requires: x, y and (where it is not empty) weight have one length, and x has at least two
// different values. With two points only, the intervals have no width and cover nothing.
LineFit fit_line(std::span<const double> x, std::span<const double> y,
                 std::span<const double> weight = {});

// Examples to a target against batch size, E(B) = E_min + S_min * B: least examples, least steps,
// and the critical batch size E_min/S_min. Weighted by 1/E^2, as errors are relative.
struct TargetCurve {
  Interval min_examples;
  Interval min_steps;
  std::optional<double> critical_batch_size;
};
TargetCurve fit_target_curve(std::span<const double> batch_sizes, std::span<const double> examples);

// The batch size of least time to the target for a step time of fixed_s + per_sample_s * B:
// sqrt(fixed_s/per_sample_s * critical), the mean of a hardware number and a statistical one.
double time_optimal_batch_size(double fixed_s, double per_sample_s, double critical_batch_size);

// The place of the knee: the smallest batch size whose throughput is within `tolerance` of the
// best. Requires: both spans have one length and are not empty; any order.
std::size_t find_knee(std::span<const std::int64_t> batch_sizes,
                      std::span<const double> samples_per_s, double tolerance = 0.05);

}  // namespace batchwise

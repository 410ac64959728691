// SPDX-License-Identifier: Apache-2.0
#include "measure/batch_laws.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"

namespace batchwise {

std::optional<double> GradientNoise::b_simple() const {
  if (!(grad_norm2 > 0)) return std::nullopt;
  return trace_sigma / grad_norm2;
}

std::optional<GradientNoise> estimate_gradient_noise(std::span<const double> lane_norm2,
                                                     std::span<const std::int64_t> lane_samples,
                                                     double batch_norm2) {
  BW_CHECK(lane_norm2.size() == lane_samples.size(), "{} norms of {} lanes", lane_norm2.size(),
           lane_samples.size());
  if (lane_norm2.size() < 2) return std::nullopt;
  // E|g_lane|^2 = |G|^2 + tr(Sigma)/b_lane and E|g_batch|^2 = |G|^2 + tr(Sigma)/B: two equations.
  const auto lanes = static_cast<double>(lane_norm2.size());
  double mean_norm2 = 0;
  double mean_inverse = 0;
  double batch = 0;
  for (std::size_t i = 0; i < lane_norm2.size(); ++i) {
    BW_CHECK(lane_samples[i] >= 1, "lane {} has {} samples", i, lane_samples[i]);
    const auto samples = static_cast<double>(lane_samples[i]);
    mean_norm2 += lane_norm2[i] / lanes;
    mean_inverse += 1 / samples / lanes;
    batch += samples;
  }
  GradientNoise noise;
  noise.trace_sigma = (mean_norm2 - batch_norm2) / (mean_inverse - 1 / batch);
  noise.grad_norm2 = batch_norm2 - noise.trace_sigma / batch;
  return noise;
}

void GradientNoiseMean::add(const GradientNoise& noise) {
  ++count_;
  sum_.grad_norm2 += noise.grad_norm2;
  sum_.trace_sigma += noise.trace_sigma;
}

GradientNoise GradientNoiseMean::mean() const {
  if (count_ == 0) return {};
  const auto count = static_cast<double>(count_);
  return {sum_.grad_norm2 / count, sum_.trace_sigma / count};
}

LineFit fit_line(std::span<const double> x, std::span<const double> y,
                 std::span<const double> weight) {
  const std::size_t n = x.size();
  BW_CHECK(n >= 2 && y.size() == n && (weight.empty() || weight.size() == n),
           "line through {} and {} values, {} weights", n, y.size(), weight.size());
  const auto w = [&](std::size_t i) { return weight.empty() ? 1.0 : weight[i]; };
  double sum_w = 0, mean_x = 0, mean_y = 0;
  for (std::size_t i = 0; i < n; ++i) sum_w += w(i);
  for (std::size_t i = 0; i < n; ++i) {
    mean_x += w(i) * x[i] / sum_w;
    mean_y += w(i) * y[i] / sum_w;
  }
  double sxx = 0, sxy = 0;
  for (std::size_t i = 0; i < n; ++i) {
    sxx += w(i) * (x[i] - mean_x) * (x[i] - mean_x);
    sxy += w(i) * (x[i] - mean_x) * (y[i] - mean_y);
  }
  BW_CHECK(sxx > 0, "line through {} values of one x", n);
  const double slope = sxy / sxx;
  const double intercept = mean_y - slope * mean_x;
  if (n == 2) return {{intercept, intercept, intercept, false}, {slope, slope, slope, false}};
  double residual = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double error = y[i] - intercept - slope * x[i];
    residual += w(i) * error * error;
  }
  const auto freedom = static_cast<std::int64_t>(n) - 2;
  const double variance = residual / static_cast<double>(freedom);
  const double t = student_t_95(freedom);
  const double slope_half = t * std::sqrt(variance / sxx);
  const double intercept_half = t * std::sqrt(variance * (1 / sum_w + mean_x * mean_x / sxx));
  return {{intercept - intercept_half, intercept, intercept + intercept_half, true},
          {slope - slope_half, slope, slope + slope_half, true}};
}

TargetCurve fit_target_curve(std::span<const double> batch_sizes,
                             std::span<const double> examples) {
  std::vector<double> weight;
  for (double example : examples) weight.push_back(1 / (example * example));
  const LineFit line = fit_line(batch_sizes, examples, weight);
  TargetCurve curve{line.intercept, line.slope, std::nullopt};
  if (line.intercept.median > 0 && line.slope.median > 0) {
    curve.critical_batch_size = line.intercept.median / line.slope.median;
  }
  return curve;
}

double time_optimal_batch_size(double fixed_s, double per_sample_s, double critical_batch_size) {
  return std::sqrt(fixed_s / per_sample_s * critical_batch_size);
}

std::size_t find_knee(std::span<const std::int64_t> batch_sizes,
                      std::span<const double> samples_per_s, double tolerance) {
  BW_CHECK(!batch_sizes.empty() && batch_sizes.size() == samples_per_s.size(),
           "knee of {} sizes and {} rates", batch_sizes.size(), samples_per_s.size());
  const double best = *std::max_element(samples_per_s.begin(), samples_per_s.end());
  std::size_t knee = 0;
  bool found = false;
  for (std::size_t i = 0; i < batch_sizes.size(); ++i) {
    if (samples_per_s[i] < (1 - tolerance) * best) continue;
    if (!found || batch_sizes[i] < batch_sizes[knee]) knee = i;
    found = true;
  }
  return knee;
}

}  // namespace batchwise

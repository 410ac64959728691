// SPDX-License-Identifier: Apache-2.0
#include "measure/batch_laws.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace batchwise {
namespace {

// Gradients are drawn with a known mean and variance; the estimates must find both, with lanes of
// one size and with a short last lane.
TEST(BatchLaws, GradientNoiseIsUnbiased) {
  constexpr int kDimensions = 20;
  constexpr double kMean = 0.1, kSigma = 0.5;  // |G|^2 = 0.2, tr(Sigma) = 5
  std::mt19937 random(11);
  std::normal_distribution<double> normal(0.0, kSigma);
  for (const std::vector<std::int64_t>& lanes :
       {std::vector<std::int64_t>{8, 8, 8, 8}, std::vector<std::int64_t>{8, 8, 3}}) {
    GradientNoiseMean mean;
    for (int step = 0; step < 4000; ++step) {
      std::vector<double> norms, total(kDimensions, 0.0);
      double batch = 0, batch_norm = 0;
      for (std::int64_t samples : lanes) {
        double norm = 0;
        for (double& sum : total) {
          double lane_sum = 0;
          for (std::int64_t i = 0; i < samples; ++i) lane_sum += kMean + normal(random);
          norm += std::pow(lane_sum / static_cast<double>(samples), 2);
          sum += lane_sum;
        }
        norms.push_back(norm);
        batch += static_cast<double>(samples);
      }
      for (double sum : total) batch_norm += std::pow(sum / batch, 2);
      mean.add(*estimate_gradient_noise(norms, lanes, batch_norm));
    }
    EXPECT_NEAR(mean.mean().trace_sigma, 5.0, 0.1);
    EXPECT_NEAR(mean.mean().grad_norm2, 0.2, 0.02);
    EXPECT_NEAR(*mean.mean().b_simple(), 25.0, 3.0);
  }
}

// With equal lanes it is the two-batch estimator as gpt-neox writes it.
TEST(BatchLaws, EqualLanesAreTheTwoBatchEstimator) {
  const double big = 64, small = 16, big_norm = 0.5, small_norm = (0.9 + 1.1 + 0.7 + 0.8) / 4;
  const auto noise = estimate_gradient_noise(std::vector<double>{0.9, 1.1, 0.7, 0.8},
                                             std::vector<std::int64_t>{16, 16, 16, 16}, big_norm);
  EXPECT_NEAR(noise->grad_norm2, (big * big_norm - small * small_norm) / (big - small), 1e-12);
  EXPECT_NEAR(noise->trace_sigma, (small_norm - big_norm) / (1 / small - 1 / big), 1e-12);
}

TEST(BatchLaws, NoNoiseScaleWithoutASignal) {
  EXPECT_FALSE(estimate_gradient_noise(std::vector<double>{1}, std::vector<std::int64_t>{8}, 1));
  EXPECT_FALSE((GradientNoise{-0.1, 3}).b_simple());
}

// Anscombe's first data set: intercept 3.00, slope 0.500, standard errors 1.125 and 0.118.
TEST(BatchLaws, LineAgreesWithAnscombe) {
  const std::vector<double> x{10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5};
  const std::vector<double> y{8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68};
  const LineFit line = fit_line(x, y);
  EXPECT_NEAR(line.intercept.median, 3.0001, 1e-3);
  EXPECT_NEAR(line.slope.median, 0.5001, 1e-3);
  EXPECT_NEAR(line.intercept.high - line.intercept.median, 2.262 * 1.1247, 2e-3);
  EXPECT_NEAR(line.slope.high - line.slope.median, 2.262 * 0.1179, 1e-3);
}

TEST(BatchLaws, TargetCurveFindsTheCriticalBatch) {
  std::vector<double> batch, examples;
  for (double b : {32.0, 128.0, 512.0, 2048.0}) {
    batch.push_back(b);
    examples.push_back(60000 + 100 * b);
  }
  const TargetCurve curve = fit_target_curve(batch, examples);
  EXPECT_NEAR(curve.min_examples.median, 60000, 1e-6);
  EXPECT_NEAR(curve.min_steps.median, 100, 1e-9);
  EXPECT_NEAR(*curve.critical_batch_size, 600, 1e-6);
}

// The closed form against trying every size.
TEST(BatchLaws, TimeOptimalBatchIsTheMinimum) {
  const double fixed_s = 200e-6, per_sample_s = 12e-6, e_min = 60000, s_min = 100;
  double best_time = INFINITY;
  int best = 0;
  for (int b = 1; b < 4096; ++b) {
    const double time = (e_min / b + s_min) * (fixed_s + per_sample_s * b);
    if (time < best_time) {
      best_time = time;
      best = b;
    }
  }
  EXPECT_NEAR(time_optimal_batch_size(fixed_s, per_sample_s, e_min / s_min), best, 0.5);
}

TEST(BatchLaws, KneeIsTheSmallestWithinFivePercent) {
  const std::vector<std::int64_t> sizes{32, 1, 8, 128, 512};
  EXPECT_EQ(find_knee(sizes, std::vector<double>{96, 10, 50, 100, 99}), 0u);
  EXPECT_EQ(find_knee(sizes, std::vector<double>{94, 10, 50, 100, 99}), 3u);
  EXPECT_EQ(find_knee(sizes, std::vector<double>{94, 100, 50, 100, 99}), 1u);
}

}  // namespace
}  // namespace batchwise

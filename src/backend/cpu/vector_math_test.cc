// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/kernel_settings_test.h"

namespace batchwise::cpu {
namespace {

// Floats of all magnitudes from zero to infinity, both signs, evenly by their bits.
std::vector<float> floats_of_all_sizes() {
  std::vector<float> values;
  for (std::uint64_t bits = 0; bits < (1ull << 32); bits += 4099) {
    const auto word = static_cast<std::uint32_t>(bits);
    float value = 0;
    std::memcpy(&value, &word, sizeof value);
    if (!std::isnan(value)) values.push_back(value);
  }
  for (const float x : {0.0f, -0.0f, 1.0f, -1.0f, 1e-45f, -1e-45f, 1.17549435e-38f, 3.4028235e38f,
                        88.72283f, 88.7229f, -87.3366f, -103.9f, -104.5f, 0.625f, 9.1f}) {
    values.push_back(x);
  }
  values.push_back(std::numeric_limits<float>::infinity());
  values.push_back(-std::numeric_limits<float>::infinity());
  return values;
}

double ulp_of(double value) {
  const double magnitude = std::max(std::fabs(value), 1.1754943508222875e-38);
  return std::ldexp(1.0, std::ilogb(magnitude) - 23);
}

// The largest error of `step` in units of the last place of the exact result.
template <class Oracle>
double largest_error_ulp(const UnaryStep& step, const std::vector<float>& inputs,
                         const Oracle& oracle, ThreadPool* pool) {
  std::vector<float> y(inputs.size());
  unary(step, inputs.data(), y.data(), static_cast<std::int64_t>(inputs.size()), pool);
  double worst = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const double exact = oracle(static_cast<double>(inputs[i]));
    const float rounded = static_cast<float>(exact);
    if (std::isnan(exact)) {
      EXPECT_TRUE(std::isnan(y[i])) << inputs[i];
    } else if (std::isinf(y[i]) || std::isinf(rounded)) {
      // Within the last place of the end of the range either is right.
      const bool is_right = y[i] == rounded || std::fabs(exact) > 3.40282e38;
      EXPECT_TRUE(is_right) << inputs[i] << " gives " << y[i] << " not " << exact;
    } else {
      const double error = std::fabs(static_cast<double>(y[i]) - exact) / ulp_of(exact);
      if (!(error <= 1e6)) ADD_FAILURE() << inputs[i] << " gives " << y[i] << " not " << exact;
      worst = std::max(worst, error);
    }
  }
  return worst;
}

template <class Oracle>
void expect_accurate(const UnaryStep& step, double fused_ulp, double plain_ulp,
                     const Oracle& oracle) {
  const std::vector<float> inputs = floats_of_all_sizes();
  for_each_kernel_setting([&](const std::string& name, bool has_fma, ThreadPool* pool) {
    if (pool->threads() > 1) return;
    EXPECT_LE(largest_error_ulp(step, inputs, oracle, pool), has_fma ? fused_ulp : plain_ulp)
        << name;
  });
}

TEST(VectorMath, ExpIsAccurate) {
  expect_accurate({UnaryOp::kExp}, 1.5, 1.5, [](double x) { return std::exp(x); });
}

TEST(VectorMath, LogIsAccurate) {
  expect_accurate({UnaryOp::kLog}, 1.5, 1.5, [](double x) { return std::log(x); });
}

TEST(VectorMath, TanhIsAccurate) {
  expect_accurate({UnaryOp::kTanh}, 2.0, 2.0, [](double x) { return std::tanh(x); });
}

TEST(VectorMath, SigmoidIsAccurate) {
  expect_accurate({UnaryOp::kSigmoid}, 3.0, 3.0, [](double x) { return 1 / (1 + std::exp(-x)); });
}

TEST(VectorMath, ErfIsAccurate) {
  expect_accurate({UnaryOp::kErf}, 2.0, 2.0, [](double x) { return std::erf(x); });
}

TEST(VectorMath, GeluIsAccurate) {
  // The tail is denormal before it is multiplied by x, up to 13; without fused multiply-add its
  // exponent keeps the rounding error of x^2 / 2.
  expect_accurate({UnaryOp::kGelu}, 8.0, 100.0, [](double x) {
    if (std::isinf(x)) return x > 0 ? x : -0.0;
    return 0.5 * x * std::erfc(-x * std::sqrt(0.5));
  });
}

TEST(VectorMath, GeluTanhIsAccurate) {
  // The rounding error of the argument, at most 88, shows in the tail.
  expect_accurate({UnaryOp::kGeluTanh}, 200.0, 200.0, [](double x) {
    if (std::isinf(x)) return x > 0 ? x : -0.0;
    const double u = 2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    return x / (1 + std::exp(-u));
  });
}

TEST(VectorMath, PowerIsAccurate) {
  for (const float exponent : {2.0f, 0.5f, -1.0f, 3.0f, -0.75f, 0.0f, 7.25f, -11.0f, 1e-3f, 1e30f,
                               std::numeric_limits<float>::infinity()}) {
    SCOPED_TRACE(exponent);
    expect_accurate({UnaryOp::kPower, exponent}, 0.51, 0.51,
                    [&](double x) { return std::pow(x, static_cast<double>(exponent)); });
  }
}

TEST(VectorMath, NanStaysNan) {
  const std::vector<float> x(5, std::numeric_limits<float>::quiet_NaN());
  for (int op = 0; op <= static_cast<int>(UnaryOp::kPower); ++op) {
    std::vector<float> y(5);
    unary({static_cast<UnaryOp>(op), 2.0f, 3.0f}, x.data(), y.data(), 5, nullptr);
    for (const float value : y) EXPECT_TRUE(std::isnan(value)) << op;
  }
}

TEST(VectorMath, BitsAreTheSameEverywhere) {
  const std::vector<float> x = random_floats(70001, 1, -12.0f, 12.0f);
  for (int op = 0; op <= static_cast<int>(UnaryOp::kPower); ++op) {
    SCOPED_TRACE(op);
    expect_same_bits_everywhere([&](ThreadPool* pool) {
      std::vector<float> y(x.size());
      unary({static_cast<UnaryOp>(op), 0.37f, 2.3f}, x.data(), y.data(),
            static_cast<std::int64_t>(x.size()), pool);
      for (float& value : y) {
        if (std::isnan(value)) value = 77.0f;  // the bits of NaN say nothing
      }
      return y;
    });
  }
}

}  // namespace
}  // namespace batchwise::cpu

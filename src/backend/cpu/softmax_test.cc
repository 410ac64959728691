// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/softmax.h"

#include <gtest/gtest.h>

#include <cmath>

#include "backend/cpu/kernel_settings_test.h"

namespace batchwise::cpu {
namespace {

const std::vector<SoftmaxShape>& shapes() {
  static const std::vector<SoftmaxShape> list = {{1, 1, 1},    {5, 10, 1},    {3, 16, 1},
                                                 {7, 1000, 1}, {2, 10000, 1}, {4, 6, 5},
                                                 {2, 10, 64},  {3, 7, 131},   {40, 33, 17}};
  return list;
}

std::int64_t elements(const SoftmaxShape& s) { return s.outer * s.axis * s.inner; }

using Kernel = void (*)(const SoftmaxShape&, const float*, float*, ThreadPool*);
using GradKernel = void (*)(const SoftmaxShape&, const float*, const float*, float*, ThreadPool*);

// Calls body with the offsets of each row.
template <class Body>
void for_each_row(const SoftmaxShape& s, const Body& body) {
  for (std::int64_t row = 0; row < s.outer * s.inner; ++row) {
    std::vector<std::size_t> at;
    for (std::int64_t k = 0; k < s.axis; ++k) {
      at.push_back(
          static_cast<std::size_t>((row / s.inner * s.axis + k) * s.inner + row % s.inner));
    }
    body(at);
  }
}

TEST(Softmax, AgreesWithDouble) {
  for (const SoftmaxShape& shape : shapes()) {
    const std::vector<float> x = random_floats(elements(shape), 1, -20.0f, 20.0f);
    for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
      GuardedOutput guarded(elements(shape)), guarded_log(elements(shape));
      softmax(shape, x.data(), guarded.data(), pool);
      log_softmax(shape, x.data(), guarded_log.data(), pool);
      const std::vector<float> y = guarded.take(), log_y = guarded_log.take();
      for_each_row(shape, [&](const std::vector<std::size_t>& at) {
        double largest = -1e30, sum = 0;
        for (const std::size_t i : at) largest = std::max(largest, static_cast<double>(x[i]));
        for (const std::size_t i : at) sum += std::exp(static_cast<double>(x[i]) - largest);
        for (const std::size_t i : at) {
          const double log_p = static_cast<double>(x[i]) - largest - std::log(sum);
          ASSERT_NEAR(y[i], std::exp(log_p), 4e-6 * std::exp(log_p)) << name;
          ASSERT_NEAR(log_y[i], log_p, 1e-6 * (1 + std::fabs(log_p))) << name;
        }
      });
    });
  }
}

TEST(Softmax, GradientsAgreeWithDouble) {
  for (const SoftmaxShape& shape : shapes()) {
    const std::vector<float> x = random_floats(elements(shape), 2, -3.0f, 3.0f);
    const std::vector<float> dy = random_floats(elements(shape), 3);
    std::vector<float> y(x.size()), log_y(x.size());
    softmax(shape, x.data(), y.data(), nullptr);
    log_softmax(shape, x.data(), log_y.data(), nullptr);
    for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
      GuardedOutput guarded(elements(shape)), guarded_log(elements(shape));
      softmax_grad(shape, dy.data(), y.data(), guarded.data(), pool);
      log_softmax_grad(shape, dy.data(), log_y.data(), guarded_log.data(), pool);
      const std::vector<float> dx = guarded.take(), log_dx = guarded_log.take();
      for_each_row(shape, [&](const std::vector<std::size_t>& at) {
        double product = 0, sum = 0;
        for (const std::size_t i : at) {
          product += static_cast<double>(dy[i]) * static_cast<double>(y[i]);
          sum += static_cast<double>(dy[i]);
        }
        for (const std::size_t i : at) {
          const double slope = static_cast<double>(dy[i]);
          ASSERT_NEAR(dx[i], static_cast<double>(y[i]) * (slope - product), 2e-6) << name;
          const double p = std::exp(static_cast<double>(log_y[i]));
          ASSERT_NEAR(log_dx[i], slope - p * sum, 1e-5) << name;
        }
      });
    });
  }
}

TEST(Softmax, BitsFollowNeitherSettingsNorNeighbours) {
  for (const Kernel kernel : {Kernel{softmax}, Kernel{log_softmax}}) {
    for (const SoftmaxShape& shape : shapes()) {
      const std::vector<float> x = random_floats(elements(shape), 4, -5.0f, 5.0f);
      std::vector<float> whole(x.size());
      expect_same_bits_everywhere([&](ThreadPool* pool) {
        kernel(shape, x.data(), whole.data(), pool);
        return whole;
      });
      kernel(shape, x.data(), whole.data(), nullptr);
      const std::int64_t each = shape.axis * shape.inner;
      for (std::int64_t sample = 0; sample < shape.outer; ++sample) {
        std::vector<float> alone(static_cast<std::size_t>(each));
        kernel({1, shape.axis, shape.inner}, x.data() + sample * each, alone.data(), nullptr);
        EXPECT_TRUE(
            same_bits(alone, {whole.data() + sample * each, whole.data() + (sample + 1) * each}));
      }
    }
  }
}

TEST(Softmax, InPlaceAndGradientBits) {
  const SoftmaxShape shape{9, 37, 1};
  const std::vector<float> y = random_floats(elements(shape), 5, 0.0f, 0.1f);
  const std::vector<float> dy = random_floats(elements(shape), 6);
  for (const GradKernel kernel : {GradKernel{softmax_grad}, GradKernel{log_softmax_grad}}) {
    expect_same_bits_everywhere([&](ThreadPool* pool) {
      std::vector<float> dx = dy;
      kernel(shape, dx.data(), y.data(), dx.data(), pool);
      return dx;
    });
  }
}

TEST(Softmax, LargeLogitsAndNan) {
  const std::vector<float> x = {1e30f, 0.0f, -1e30f, 1.0f, std::nanf(""), 2.0f};
  std::vector<float> y(6);
  softmax({2, 3, 1}, x.data(), y.data(), nullptr);
  EXPECT_EQ(y[0], 1.0f);
  EXPECT_EQ(y[1], 0.0f);
  EXPECT_EQ(y[2], 0.0f);
  for (std::size_t i = 3; i < 6; ++i) EXPECT_TRUE(std::isnan(y[i]));
}

}  // namespace
}  // namespace batchwise::cpu

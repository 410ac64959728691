// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "backend/cpu/kernel_settings_test.h"

namespace batchwise::cpu {
namespace {

double wide(float x) { return static_cast<double>(x); }

// PyTorch's SGD in double, with a velocity that exists from the second step on.
struct SgdOracle {
  double parameter, velocity = 0;
  bool is_first = true;
  void step(const Sgd& sgd, double gradient) {
    gradient = gradient * wide(sgd.multiplier) + wide(sgd.weight_decay) * parameter;
    if (sgd.momentum != 0) {
      velocity = is_first ? gradient : wide(sgd.momentum) * velocity + gradient;
      is_first = false;
      gradient = sgd.nesterov ? gradient + wide(sgd.momentum) * velocity : velocity;
    }
    parameter -= wide(sgd.rate) * gradient;
  }
};

TEST(Optimizer, SgdFollowsPyTorch) {
  for (const Sgd& sgd : {Sgd{0.1f}, Sgd{0.1f, 0.5f, 0.9f}, Sgd{0.1f, 1.0f, 0.9f, 0.01f},
                         Sgd{0.05f, 2.0f, 0.8f, 0.1f, true}, Sgd{0.1f, 1.0f, 0.0f, 0.3f}}) {
    for (const std::int64_t count : {1, 17, 100, 40000}) {
      for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
        std::vector<float> parameter = random_floats(count, 1);
        std::vector<float> velocity(parameter.size());
        std::vector<SgdOracle> oracles;
        for (const float p : parameter) oracles.push_back({wide(p)});
        for (std::uint64_t t = 0; t < 5; ++t) {
          const std::vector<float> gradient = random_floats(count, 2 + t);
          sgd_update(sgd, count, gradient.data(), parameter.data(),
                     sgd.momentum == 0 ? nullptr : velocity.data(), pool);
          for (std::size_t i = 0; i < parameter.size(); ++i)
            oracles[i].step(sgd, wide(gradient[i]));
        }
        for (std::size_t i = 0; i < parameter.size(); ++i) {
          ASSERT_NEAR(parameter[i], oracles[i].parameter, 1e-6) << name;
        }
      });
    }
  }
}

TEST(Optimizer, AdamFollowsPyTorch) {
  for (const bool decoupled : {false, true}) {
    const std::int64_t count = 1003;
    for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
      std::vector<float> parameter = random_floats(count, 7), mean(1003), square(1003);
      std::vector<double> p(parameter.begin(), parameter.end()), m(1003), v(1003);
      for (std::int64_t t = 1; t <= 6; ++t) {
        const std::vector<float> gradient = random_floats(count, 7 + static_cast<std::uint64_t>(t));
        Adam adam{.rate = 0.01f, .multiplier = 0.5f, .weight_decay = 0.1f, .decoupled = decoupled};
        adam.step = t;
        adam_update(adam, count, gradient.data(), parameter.data(), mean.data(), square.data(),
                    pool);
        for (std::size_t i = 0; i < p.size(); ++i) {
          double g = wide(gradient[i]) * 0.5;
          if (decoupled) {
            p[i] *= 1 - wide(adam.rate) * wide(adam.weight_decay);
          } else {
            g += wide(adam.weight_decay) * p[i];
          }
          m[i] += (g - m[i]) * (1 - 0.9);
          v[i] = 0.999 * v[i] + (1 - 0.999) * g * g;
          const double correction = 1 - std::pow(0.9, static_cast<double>(t));
          const double root = std::sqrt(1 - std::pow(0.999, static_cast<double>(t)));
          p[i] -= wide(adam.rate) / correction * m[i] / (std::sqrt(v[i]) / root + 1e-8);
        }
      }
      for (std::size_t i = 0; i < p.size(); ++i) ASSERT_NEAR(parameter[i], p[i], 2e-6) << name;
    });
  }
}

TEST(Optimizer, BitsAreTheSameEverywhere) {
  const std::int64_t count = 40007;
  const std::vector<float> gradient = random_floats(count, 20), start = random_floats(count, 21);
  expect_same_bits_everywhere([&](ThreadPool* pool) {
    std::vector<float> parameter = start, velocity = gradient;
    sgd_update({0.1f, 0.7f, 0.9f, 0.01f, true}, count, gradient.data(), parameter.data(),
               velocity.data(), pool);
    std::vector<float> mean = gradient, square(start.size(), 0.5f);
    Adam adam{.rate = 0.01f};
    adam.step = 3;
    adam_update(adam, count, gradient.data(), parameter.data(), mean.data(), square.data(), pool);
    return parameter;
  });
}

TEST(Optimizer, SumOfSquaresIsExactEnoughAndTheSameEverywhere) {
  for (const std::int64_t count : {0, 1, 15, 16, 33, 4096, 4097, 100000, 700001}) {
    const std::vector<float> x = random_floats(count, 22);
    double expected = 0;
    for (const float value : x) expected += wide(value) * wide(value);
    double fused = -1;
    for_each_kernel_setting([&](const std::string& name, bool has_fma, ThreadPool* pool) {
      const double sum = sum_of_squares(x.data(), count, pool);
      EXPECT_NEAR(sum, expected, 1e-12 * expected) << name;
      if (!has_fma) return;
      if (fused < 0) fused = sum;
      EXPECT_EQ(sum, fused) << name;
    });
  }
}

}  // namespace
}  // namespace batchwise::cpu

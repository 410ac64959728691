// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "backend/cpu/kernel_settings_test.h"

namespace batchwise::cpu {
namespace {

std::vector<std::int64_t> some_labels(std::int64_t samples, std::int64_t classes) {
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < samples; ++i) labels.push_back((i * 7 + 3) % classes);
  return labels;
}

TEST(Loss, CrossEntropyAgreesWithDouble) {
  for (const std::int64_t classes : {1, 2, 10, 16, 1000}) {
    const std::int64_t samples = 37;
    const std::vector<float> x = random_floats(samples * classes, 1, -10.0f, 10.0f);
    const std::vector<float> dloss = random_floats(samples, 2);
    const std::vector<std::int64_t> labels = some_labels(samples, classes);
    for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
      GuardedOutput loss(samples), dlogits(samples * classes);
      const CrossEntropy args{samples,     classes,        x.data(),     labels.data(),
                              loss.data(), dlogits.data(), dloss.data(), 0.25f};
      ASSERT_EQ(softmax_cross_entropy(args, pool), -1);
      const std::vector<float> losses = loss.take(), slopes = dlogits.take();
      for (std::int64_t m = 0; m < samples; ++m) {
        const float* row = x.data() + m * classes;
        const auto label = labels[static_cast<std::size_t>(m)];
        double sum = 0;
        for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(row[c]));
        const double expected = std::log(sum) - static_cast<double>(row[label]);
        ASSERT_NEAR(losses[static_cast<std::size_t>(m)], expected, 2e-6 * (1 + expected)) << name;
        for (std::int64_t c = 0; c < classes; ++c) {
          const double p = std::exp(static_cast<double>(row[c])) / sum - (c == label ? 1 : 0);
          const double scale = 0.25 * static_cast<double>(dloss[static_cast<std::size_t>(m)]);
          ASSERT_NEAR(slopes[static_cast<std::size_t>(m * classes + c)], p * scale, 3e-7) << name;
        }
      }
    });
  }
}

TEST(Loss, CrossEntropyNamesTheFirstBadLabelAndWritesNothing) {
  const std::vector<float> x(6, 1.0f);
  for (const std::int64_t bad : {-1, 2, 1000}) {
    const std::vector<std::int64_t> labels = {0, bad, -5};
    std::vector<float> loss(3, 7.0f), dlogits(6, 7.0f);
    const CrossEntropy args{3, 2, x.data(), labels.data(), loss.data(), dlogits.data(), nullptr};
    EXPECT_EQ(softmax_cross_entropy(args, nullptr), 1);
    EXPECT_EQ(loss, std::vector<float>(3, 7.0f));
    EXPECT_EQ(dlogits, std::vector<float>(6, 7.0f));
  }
}

TEST(Loss, CrossEntropyBitsFollowNeitherSettingsNorNeighbours) {
  const std::int64_t samples = 1700, classes = 11;
  const std::vector<float> x = random_floats(samples * classes, 3, -4.0f, 4.0f);
  const std::vector<std::int64_t> labels = some_labels(samples, classes);
  expect_same_bits_everywhere([&](ThreadPool* pool) {
    std::vector<float> result(x);  // the gradient over the logits
    std::vector<float> loss(static_cast<std::size_t>(samples));
    softmax_cross_entropy(
        {samples, classes, result.data(), labels.data(), loss.data(), result.data()}, pool);
    result.insert(result.end(), loss.begin(), loss.end());
    return result;
  });
  std::vector<float> whole(static_cast<std::size_t>(samples));
  softmax_cross_entropy({samples, classes, x.data(), labels.data(), whole.data()}, nullptr);
  for (std::int64_t m = 0; m < samples; m += 13) {
    float alone = 0;
    softmax_cross_entropy(
        {1, classes, x.data() + m * classes, &labels[static_cast<std::size_t>(m)], &alone},
        nullptr);
    EXPECT_EQ(alone, whole[static_cast<std::size_t>(m)]);
  }
}

TEST(Loss, SquaredErrorAgreesWithDouble) {
  for (const std::int64_t elements : {1, 5, 16, 700}) {
    const std::int64_t samples = 60;
    const std::vector<float> p = random_floats(samples * elements, 4);
    const std::vector<float> t = random_floats(samples * elements, 5);
    const std::vector<float> dloss = random_floats(samples, 6);
    for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
      GuardedOutput loss(samples), slope(samples * elements);
      mean_squared_error(
          {samples, elements, p.data(), t.data(), loss.data(), slope.data(), dloss.data(), 0.5f},
          pool);
      const std::vector<float> losses = loss.take(), slopes = slope.take();
      for (std::size_t m = 0; m < static_cast<std::size_t>(samples); ++m) {
        double sum = 0;
        const double n = static_cast<double>(elements);
        for (std::size_t i = 0; i < static_cast<std::size_t>(elements); ++i) {
          const std::size_t at = m * static_cast<std::size_t>(elements) + i;
          const double error = static_cast<double>(p[at]) - static_cast<double>(t[at]);
          sum += error * error;
          ASSERT_NEAR(slopes[at], 2 / n * error * 0.5 * static_cast<double>(dloss[m]), 1e-6)
              << name;
        }
        ASSERT_NEAR(losses[m], sum / n, 1e-6 * (1 + sum / n)) << name;
      }
    });
    expect_same_bits_everywhere([&](ThreadPool* pool) {
      std::vector<float> loss(static_cast<std::size_t>(samples));
      mean_squared_error({samples, elements, p.data(), t.data(), loss.data()}, pool);
      return loss;
    });
  }
}

}  // namespace
}  // namespace batchwise::cpu

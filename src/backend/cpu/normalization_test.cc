// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/normalization.h"

#include <gtest/gtest.h>

#include <cmath>

#include "backend/cpu/kernel_settings_test.h"

namespace batchwise::cpu {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }
double wide(float x) { return static_cast<double>(x); }

struct Moments {
  double mean = 0, inv_std = 0, variance = 0;
};

template <class At>
Moments moments_of(std::int64_t count, double epsilon, const At& at) {
  Moments m;
  for (std::int64_t i = 0; i < count; ++i) m.mean += at(i);
  m.mean /= static_cast<double>(count);
  for (std::int64_t i = 0; i < count; ++i) m.variance += (at(i) - m.mean) * (at(i) - m.mean);
  m.variance /= static_cast<double>(count);
  m.inv_std = 1 / std::sqrt(m.variance + epsilon);
  return m;
}

TEST(Normalization, LayerNormAgreesWithDouble) {
  for (const std::int64_t count : {1, 3, 16, 100, 768, 5000}) {
    const std::int64_t rows = 9;
    const std::vector<float> x = random_floats(rows * count, 1, -3.0f, 5.0f);
    const std::vector<float> scale = random_floats(count, 2), bias = random_floats(count, 3);
    for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
      GuardedOutput y(rows * count), mean(rows), inv_std(rows);
      layer_norm({rows, count, 1e-5f, x.data(), scale.data(), bias.data(), y.data(), mean.data(),
                  inv_std.data()},
                 pool);
      const auto ys = y.take(), means = mean.take(), inv_stds = inv_std.take();
      for (std::int64_t r = 0; r < rows; ++r) {
        const Moments m =
            moments_of(count, 1e-5, [&](std::int64_t i) { return wide(x[index(r * count + i)]); });
        ASSERT_NEAR(means[index(r)], m.mean, 1e-6) << name;
        ASSERT_NEAR(inv_stds[index(r)], m.inv_std, 1e-5 * m.inv_std) << name;
        for (std::int64_t i = 0; i < count; ++i) {
          const double expected =
              (wide(x[index(r * count + i)]) - m.mean) * m.inv_std * wide(scale[index(i)]) +
              wide(bias[index(i)]);
          ASSERT_NEAR(ys[index(r * count + i)], expected, 5e-6) << name;
        }
      }
    });
  }
}

TEST(Normalization, LayerNormGradAgreesWithDouble) {
  for (const std::int64_t count : {2, 16, 77, 1000}) {
    const std::int64_t rows = 8;
    const std::vector<float> x = random_floats(rows * count, 4),
                             dy = random_floats(rows * count, 5);
    const std::vector<float> scale = random_floats(count, 6);
    std::vector<float> y(x.size()), mean(index(rows)), inv_std(index(rows));
    layer_norm({rows, count, 1e-5f, x.data(), scale.data(), nullptr, y.data(), mean.data(),
                inv_std.data()},
               nullptr);
    for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
      GuardedOutput dx(rows * count), terms(rows * count);
      layer_norm_grad({rows, count, dy.data(), x.data(), scale.data(), mean.data(), inv_std.data(),
                       dx.data(), terms.data()},
                      pool);
      const auto dxs = dx.take(), dscales = terms.take();
      for (std::int64_t r = 0; r < rows; ++r) {
        const auto at = [&](std::int64_t i) { return index(r * count + i); };
        const Moments m = moments_of(count, 1e-5, [&](std::int64_t i) { return wide(x[at(i)]); });
        double sum = 0, product = 0;
        const auto normalized = [&](std::int64_t i) {
          return (wide(x[at(i)]) - m.mean) * m.inv_std;
        };
        const auto slope = [&](std::int64_t i) { return wide(dy[at(i)]) * wide(scale[index(i)]); };
        for (std::int64_t i = 0; i < count; ++i) {
          sum += slope(i);
          product += slope(i) * normalized(i);
        }
        const double n = static_cast<double>(count);
        for (std::int64_t i = 0; i < count; ++i) {
          const double expected = m.inv_std * (slope(i) - sum / n - normalized(i) * product / n);
          ASSERT_NEAR(dxs[at(i)], expected, 2e-5 * (1 + m.inv_std)) << name << " " << count;
          ASSERT_NEAR(dscales[at(i)], wide(dy[at(i)]) * normalized(i), 1e-5) << name;
        }
      }
    });
  }
}

TEST(Normalization, LayerNormBitsFollowNeitherSettingsNorNeighbours) {
  const std::int64_t rows = 40, count = 523;
  const std::vector<float> x = random_floats(rows * count, 7), dy = random_floats(rows * count, 8);
  std::vector<float> mean(index(rows)), inv_std(index(rows));
  const auto forward = [&](ThreadPool* pool) {
    std::vector<float> y(x.size());
    layer_norm(
        {rows, count, 1e-5f, x.data(), nullptr, nullptr, y.data(), mean.data(), inv_std.data()},
        pool);
    return y;
  };
  expect_same_bits_everywhere(forward);
  const std::vector<float> whole = forward(nullptr);
  for (std::int64_t r = 0; r < rows; ++r) {
    std::vector<float> y(index(count));
    layer_norm({1, count, 1e-5f, x.data() + r * count, nullptr, nullptr, y.data()}, nullptr);
    EXPECT_TRUE(same_bits(y, {whole.data() + r * count, whole.data() + (r + 1) * count}));
  }
  expect_same_bits_everywhere([&](ThreadPool* pool) {
    std::vector<float> dx(x.size());
    layer_norm_grad({rows, count, dy.data(), x.data(), nullptr, mean.data(), inv_std.data(),
                     dx.data(), nullptr},
                    pool);
    return dx;
  });
}

TEST(Normalization, FoldedBatchNormInBothLayouts) {
  const std::int64_t outer = 6, channels = 19, inner = 35;
  const std::vector<float> x = random_floats(outer * channels * inner, 9);
  const std::vector<float> scale = random_floats(channels, 10), bias = random_floats(channels, 11);
  const std::vector<float> mean = random_floats(channels, 12);
  const std::vector<float> variance = random_floats(channels, 13, 0.1f, 2.0f);
  std::vector<float> factor(index(channels)), shift(index(channels));
  batch_norm_fold(channels, scale.data(), bias.data(), mean.data(), variance.data(), 1e-3f,
                  factor.data(), shift.data());
  const auto expected = [&](float value, std::int64_t c) {
    return (wide(value) - wide(mean[index(c)])) / std::sqrt(wide(variance[index(c)]) + 1e-3) *
               wide(scale[index(c)]) +
           wide(bias[index(c)]);
  };
  for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
    GuardedOutput first(outer * channels * inner), last(outer * channels * inner);
    scale_shift_channels(outer, channels, inner, factor.data(), shift.data(), x.data(),
                         first.data(), pool);
    scale_shift_channels(outer * inner, channels, 1, factor.data(), shift.data(), x.data(),
                         last.data(), pool);
    const auto y_first = first.take(), y_last = last.take();
    for (std::int64_t i = 0; i < outer * channels * inner; ++i) {
      ASSERT_NEAR(y_first[index(i)], expected(x[index(i)], i / inner % channels), 1e-5) << name;
      ASSERT_NEAR(y_last[index(i)], expected(x[index(i)], i % channels), 1e-5) << name;
    }
  });
}

TEST(Normalization, BatchNormTrainingAgreesWithDouble) {
  for (const std::int64_t channels : {1, 3, 16, 20, 64, 100, 150}) {
    const BatchNormGroups groups{1100, channels, 300};  // 300, 300 and 500 rows
    ASSERT_EQ(groups.groups(), 3);
    const std::int64_t count = groups.rows * channels;
    const std::vector<float> x = random_floats(count, 14, 3.0f, 6.0f),
                             dy = random_floats(count, 15);
    const std::vector<float> scale = random_floats(channels, 16),
                             bias = random_floats(channels, 17);
    for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
      GuardedOutput y(count), mean(3 * channels), variance(3 * channels), inv_std(3 * channels);
      batch_norm_training({groups, 1e-5f, x.data(), scale.data(), bias.data(), y.data(),
                           mean.data(), variance.data(), inv_std.data()},
                          pool);
      const auto ys = y.take(), means = mean.take(), variances = variance.take(),
                 inv_stds = inv_std.take();
      GuardedOutput dx(count), dscale(3 * channels), dbias(3 * channels);
      batch_norm_training_grad({groups, dy.data(), x.data(), scale.data(), means.data(),
                                inv_stds.data(), dx.data(), dscale.data(), dbias.data()},
                               pool);
      const auto dxs = dx.take(), dscales = dscale.take(), dbiases = dbias.take();
      for (std::int64_t g = 0; g < 3; ++g) {
        const std::int64_t begin = groups.begin(g), size = groups.end(g) - begin;
        for (std::int64_t c = 0; c < channels; ++c) {
          const auto at = [&](std::int64_t i) { return index((begin + i) * channels + c); };
          const Moments m = moments_of(size, 1e-5, [&](std::int64_t i) { return wide(x[at(i)]); });
          const std::size_t k = index(g * channels + c);
          ASSERT_NEAR(means[k], m.mean, 1e-5) << name;
          ASSERT_NEAR(variances[k], m.variance, 1e-5) << name;
          ASSERT_NEAR(inv_stds[k], m.inv_std, 1e-5 * m.inv_std) << name;
          double sum = 0, product = 0;
          const auto normalized = [&](std::int64_t i) {
            return (wide(x[at(i)]) - m.mean) * m.inv_std;
          };
          for (std::int64_t i = 0; i < size; ++i) {
            sum += wide(dy[at(i)]);
            product += wide(dy[at(i)]) * normalized(i);
          }
          ASSERT_NEAR(dbiases[k], sum, 1e-4) << name;
          ASSERT_NEAR(dscales[k], product, 2e-4) << name;
          const double n = static_cast<double>(size), s = wide(scale[index(c)]);
          for (std::int64_t i = 0; i < size; ++i) {
            ASSERT_NEAR(ys[at(i)], normalized(i) * s + wide(bias[index(c)]), 1e-5) << name;
            const double expected =
                s * m.inv_std * (wide(dy[at(i)]) - sum / n - normalized(i) * product / n);
            ASSERT_NEAR(dxs[at(i)], expected, 1e-5) << name;
          }
        }
      }
    });
  }
}

TEST(Normalization, BatchNormBitsAreTheGroupsAlone) {
  const std::int64_t channels = 70;
  const BatchNormGroups groups{1500, channels, 700};
  const std::vector<float> x = random_floats(groups.rows * channels, 18);
  const std::vector<float> scale = random_floats(channels, 19), bias = random_floats(channels, 20);
  std::vector<float> mean(index(2 * channels)), inv_std(index(2 * channels));
  const auto forward = [&](ThreadPool* pool) {
    std::vector<float> y(x.size());
    batch_norm_training({groups, 1e-5f, x.data(), scale.data(), bias.data(), y.data(), mean.data(),
                         nullptr, inv_std.data()},
                        pool);
    return y;
  };
  expect_same_bits_everywhere(forward);
  const std::vector<float> whole = forward(nullptr);
  for (std::int64_t g = 0; g < 2; ++g) {
    const std::int64_t begin = groups.begin(g) * channels, end = groups.end(g) * channels;
    std::vector<float> y(index(end - begin));
    batch_norm_training({{groups.end(g) - groups.begin(g), channels, 0},
                         1e-5f,
                         x.data() + begin,
                         scale.data(),
                         bias.data(),
                         y.data(),
                         mean.data(),
                         nullptr,
                         inv_std.data()},
                        nullptr);
    EXPECT_TRUE(same_bits(y, {whole.data() + begin, whole.data() + end}));
  }
  forward(nullptr);
  expect_same_bits_everywhere([&](ThreadPool* pool) {
    std::vector<float> result(x.size() + index(4 * channels));
    batch_norm_training_grad(
        {groups, x.data(), x.data(), scale.data(), mean.data(), inv_std.data(), result.data(),
         result.data() + x.size(), result.data() + x.size() + 2 * channels},
        pool);
    return result;
  });
}

TEST(Normalization, OneGroupOnSeveralThreadsHasTheBitsOfOne) {
  for (const std::int64_t rows : {1024, 1281, 2000}) {
    for (const std::int64_t channels : {16, 70}) {
      const BatchNormGroups groups{rows, channels, 0};
      const std::vector<float> x = random_floats(rows * channels, 23, 1.0f, 3.0f);
      const std::vector<float> dy = random_floats(rows * channels, 24);
      const std::vector<float> scale = random_floats(channels, 25);
      expect_same_bits_everywhere([&](ThreadPool* pool) {
        const std::size_t n = x.size(), c = index(channels);
        std::vector<float> all(2 * n + 5 * c);
        float* mean = all.data() + 2 * n;
        batch_norm_training({groups, 1e-5f, x.data(), scale.data(), scale.data(), all.data(), mean,
                             mean + c, mean + 2 * c},
                            pool);
        batch_norm_training_grad({groups, dy.data(), x.data(), scale.data(), mean, mean + 2 * c,
                                  all.data() + n, mean + 3 * c, mean + 4 * c},
                                 pool);
        return all;
      });
    }
  }
}

TEST(Normalization, RunningMomentAdvancesGroupByGroup) {
  const std::vector<float> values = {1.0f, 2.0f, 3.0f, 4.0f};
  std::vector<float> running = {10.0f, 20.0f};
  update_running_moment(2, 2, 0.5f, values.data(), running.data());
  EXPECT_EQ(running, (std::vector<float>{4.25f, 7.5f}));
}

// LRN in double over [outer, channels, inner].
struct LrnOracle {
  Lrn lrn;
  std::vector<float> x;
  std::int64_t at(std::int64_t o, std::int64_t c, std::int64_t i) const {
    return (o * lrn.channels + c) * lrn.inner + i;
  }
  double scale(std::int64_t o, std::int64_t c, std::int64_t i) const {
    double sum = 0;
    const std::int64_t low = (lrn.size - 1) / 2;
    for (std::int64_t j = c - low; j <= c - low + lrn.size - 1; ++j) {
      if (j >= 0 && j < lrn.channels) sum += std::pow(wide(x[index(at(o, j, i))]), 2);
    }
    return wide(lrn.bias) + wide(lrn.alpha) / static_cast<double>(lrn.size) * sum;
  }
  double y(std::int64_t o, std::int64_t c, std::int64_t i) const {
    return wide(x[index(at(o, c, i))]) * std::pow(scale(o, c, i), -wide(lrn.beta));
  }
  double dx(std::int64_t o, std::int64_t c, std::int64_t i, const std::vector<float>& dy) const {
    double slope = wide(dy[index(at(o, c, i))]) * std::pow(scale(o, c, i), -wide(lrn.beta));
    const std::int64_t low = (lrn.size - 1) / 2;
    for (std::int64_t j = 0; j < lrn.channels; ++j) {
      if (c < j - low || c > j - low + lrn.size - 1) continue;  // not in the window of j
      slope -= 2 * wide(lrn.alpha) * wide(lrn.beta) / static_cast<double>(lrn.size) *
               wide(x[index(at(o, c, i))]) * wide(dy[index(at(o, j, i))]) * y(o, j, i) /
               scale(o, j, i);
    }
    return slope;
  }
};

TEST(Normalization, LrnAgreesWithDoubleInBothLayouts) {
  for (const Lrn& lrn_args :
       {Lrn{3, 7, 20}, Lrn{50, 7, 1}, Lrn{2, 130, 1, 5, 0.5f, 0.75f, 2.0f},
        Lrn{2, 9, 70, 4, 0.5f, 0.6f, 1.5f}, Lrn{4, 90, 1, 4, 0.5f, 0.6f, 1.5f},
        Lrn{2, 3, 5, 32, 1.0f, 0.75f, 1.0f}, Lrn{2, 3, 1, 32, 1.0f, 0.75f, 1.0f},
        Lrn{1, 150, 1, 31, 1.0f, 1.0f, 1.0f}, Lrn{3, 5, 4, 1, 1.0f, 0.5f, 1.0f}}) {
    const std::int64_t count = lrn_args.outer * lrn_args.channels * lrn_args.inner;
    const LrnOracle oracle{lrn_args, random_floats(count, 21, -2.0f, 2.0f)};
    const std::vector<float> dy = random_floats(count, 22);
    for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
      GuardedOutput y(count), dx(count);
      lrn(lrn_args, oracle.x.data(), y.data(), pool);
      const auto ys = y.take();
      lrn_grad(lrn_args, dy.data(), oracle.x.data(), ys.data(), dx.data(), pool);
      const auto dxs = dx.take();
      for (std::int64_t o = 0; o < lrn_args.outer; ++o) {
        for (std::int64_t c = 0; c < lrn_args.channels; ++c) {
          for (std::int64_t i = 0; i < lrn_args.inner; ++i) {
            const std::size_t at = index(oracle.at(o, c, i));
            ASSERT_NEAR(ys[at], oracle.y(o, c, i), 1e-6) << name;
            ASSERT_NEAR(dxs[at], oracle.dx(o, c, i, dy), 2e-6) << name;
          }
        }
      }
    });
    expect_same_bits_everywhere([&](ThreadPool* pool) {
      std::vector<float> y(oracle.x.size()), dx(oracle.x.size());
      lrn(lrn_args, oracle.x.data(), y.data(), pool);
      lrn_grad(lrn_args, dy.data(), oracle.x.data(), y.data(), dx.data(), pool);
      y.insert(y.end(), dx.begin(), dx.end());
      return y;
    });
  }
}

}  // namespace
}  // namespace batchwise::cpu

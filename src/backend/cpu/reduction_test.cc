// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/reduction.h"

#include <gtest/gtest.h>

#include <cmath>

#include "backend/cpu/kernel_settings_test.h"

namespace batchwise::cpu {
namespace {

using Shape = std::vector<std::int64_t>;

struct ReduceCase {
  Shape shape;
  std::vector<bool> reduced;
};

const std::vector<ReduceCase>& cases() {
  static const std::vector<ReduceCase> list = {
      {{}, {}},
      {{1}, {true}},
      {{7}, {true}},
      {{7}, {false}},
      {{100, 33}, {true, false}},
      {{100, 33}, {false, true}},
      {{9, 5000}, {false, true}},
      {{1000, 70}, {true, false}},
      {{3, 4, 5}, {true, false, true}},
      {{3, 4, 5}, {false, true, false}},
      {{6, 8, 7, 7}, {true, false, true, true}},
      {{6, 8, 7, 7}, {false, false, true, true}},
      {{6, 17, 17, 70}, {false, true, true, false}},
      {{6, 17, 17, 70}, {true, true, true, false}},
      {{2, 3, 4, 5, 6}, {true, false, true, false, true}},
      {{2, 3, 4, 5, 6}, {false, true, false, true, false}},
      {{4, 1, 5, 1}, {true, true, false, true}},
      {{5, 6, 7}, {true, true, true}},
  };
  return list;
}

std::int64_t elements(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

// The output element that input element `at` belongs to.
std::int64_t output_of(const ReduceCase& c, std::int64_t at) {
  std::int64_t place = 0, stride = 1;
  for (std::size_t k = c.shape.size(); k-- > 0;) {
    const std::int64_t i = at % c.shape[k];
    at /= c.shape[k];
    if (c.reduced[k]) continue;
    place += i * stride;
    stride *= c.shape[k];
  }
  return place;
}

TEST(Reduction, AgreesWithDouble) {
  for (const ReduceCase& c : cases()) {
    for (const bool chain : {false, true}) {
      const ReducePlan plan = plan_reduction(c.shape, c.reduced, chain);
      const std::vector<float> x = random_floats(elements(c.shape), 1);
      const auto outputs = static_cast<std::size_t>(plan.outputs);
      ASSERT_EQ(plan.outputs * plan.terms, elements(c.shape));
      std::vector<double> sums(outputs), largest(outputs, -1e30);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto o = static_cast<std::size_t>(output_of(c, static_cast<std::int64_t>(i)));
        sums[o] += static_cast<double>(x[i]);
        largest[o] = std::max(largest[o], static_cast<double>(x[i]));
      }
      for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
        GuardedOutput sum(plan.outputs), mean(plan.outputs), max(plan.outputs);
        reduce(ReduceOp::kSum, plan, x.data(), sum.data(), pool);
        reduce(ReduceOp::kMean, plan, x.data(), mean.data(), pool);
        reduce(ReduceOp::kMax, plan, x.data(), max.data(), pool);
        const auto s = sum.take(), m = mean.take(), l = max.take();
        const double terms = static_cast<double>(plan.terms);
        for (std::size_t o = 0; o < outputs; ++o) {
          ASSERT_NEAR(s[o], sums[o], 3e-7 * terms + 1e-7) << name;
          ASSERT_NEAR(m[o], sums[o] / terms, 3e-7) << name;
          ASSERT_EQ(static_cast<double>(l[o]), largest[o]) << name;
        }
      });
      expect_same_bits_everywhere([&](ThreadPool* pool) {
        std::vector<float> y(outputs);
        reduce(ReduceOp::kSum, plan, x.data(), y.data(), pool);
        return y;
      });
    }
  }
}

// 16 lanes, each put aside every 256 of its terms, then a tree: the law as a loop.
float lane_sum(const float* x, std::int64_t count) {
  float total[16] = {};
  std::int64_t i = 0;
  const std::int64_t whole = count / 16 * 16;
  while (i < whole) {
    float block[16] = {};
    const std::int64_t end = std::min(whole, i + 4096);
    for (; i < end; ++i) block[i % 16] += x[i];
    for (int j = 0; j < 16; ++j) total[j] += block[j];
  }
  for (; i < count; ++i) total[i % 16] += x[i];
  for (int half = 8; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) total[j] += total[j + half];
  }
  return total[0];
}

TEST(Reduction, ARowIsSummedBySixteenLanes) {
  for (const std::int64_t count : {1, 5, 16, 17, 40, 1000, 4096, 4100, 13001}) {
    const Shape shape = {2, count};
    const std::vector<float> x = random_floats(2 * count, 2);
    const ReducePlan plan = plan_reduction(shape, {false, true}, false);
    for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
      std::vector<float> y(2);
      reduce(ReduceOp::kSum, plan, x.data(), y.data(), pool);
      EXPECT_EQ(y[0], lane_sum(x.data(), count)) << name << " " << count;
      EXPECT_EQ(y[1], lane_sum(x.data() + count, count)) << name << " " << count;
    });
  }
}

TEST(Reduction, AColumnIsOneChainInTheOrderOfRows) {
  const std::int64_t rows = 700, columns = 83;
  const std::vector<float> x = random_floats(rows * columns, 3);
  const std::vector<float> start = random_floats(columns, 4);
  std::vector<float> expected = start;
  for (std::size_t i = 0; i < x.size(); ++i)
    expected[i % static_cast<std::size_t>(columns)] += x[i];
  const ReducePlan plan = plan_reduction(Shape{rows, columns}, {true, false}, true);
  for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
    std::vector<float> y = start;
    sum_to(plan, x.data(), true, y.data(), pool);
    EXPECT_TRUE(same_bits(y, expected)) << name;
  });
}

TEST(Reduction, ASumOverSamplesGoesOnFromCallToCall) {
  const std::vector<ReduceCase> sums = {
      {{12, 5, 33}, {true, true, false}},          {{12, 8, 49}, {true, false, true}},
      {{12, 300, 70}, {true, true, false}},        {{12, 9}, {true, false}},
      {{12, 3, 4, 5}, {true, false, true, false}}, {{12, 6, 7}, {true, true, true}}};
  for (const ReduceCase& c : sums) {
    const std::vector<float> x = random_floats(elements(c.shape), 5);
    const ReducePlan plan = plan_reduction(c.shape, c.reduced, true);
    const auto outputs = static_cast<std::size_t>(plan.outputs);
    std::vector<float> whole(outputs);
    sum_to(plan, x.data(), false, whole.data(), nullptr);
    for (const std::int64_t part : {1, 3, 5}) {
      std::vector<float> y(outputs);
      for (std::int64_t first = 0; first < 12; first += part) {
        Shape shape = c.shape;
        shape[0] = std::min<std::int64_t>(part, 12 - first);
        sum_to(plan_reduction(shape, c.reduced, true), x.data() + first * elements(c.shape) / 12,
               first > 0, y.data(), nullptr);
      }
      EXPECT_TRUE(same_bits(y, whole)) << part;
    }
  }
}

TEST(Reduction, MaxKeepsNanAndItsGradientGoesToTheFirst) {
  const Shape shape = {3, 4};
  std::vector<float> x = {1, 5, 5, 2, 0, -1, -2, -3, 1, std::nanf(""), 2, 3};
  const ReducePlan rows = plan_reduction(shape, {false, true}, false);
  std::vector<float> y(3);
  reduce(ReduceOp::kMax, rows, x.data(), y.data(), nullptr);
  EXPECT_EQ(y[0], 5);
  EXPECT_EQ(y[1], 0);
  EXPECT_TRUE(std::isnan(y[2]));
  const std::vector<float> dy = {7, 8, 9};
  GuardedOutput dx(12);
  reduce_max_grad(rows, dy.data(), x.data(), y.data(), dx.data(), nullptr);
  EXPECT_EQ(dx.take(), (std::vector<float>{0, 7, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0}));

  const ReducePlan columns = plan_reduction(shape, {true, false}, false);
  x = {1, 2, 3, 4, 4, 2, 1, 0, 0, 0, 3, 4};
  std::vector<float> top(4);
  reduce(ReduceOp::kMax, columns, x.data(), top.data(), nullptr);
  EXPECT_EQ(top, (std::vector<float>{4, 2, 3, 4}));
  const std::vector<float> slope = {1, 2, 3, 4};
  std::vector<float> spread(12, 9.0f);
  reduce_max_grad(columns, slope.data(), x.data(), top.data(), spread.data(), nullptr);
  EXPECT_EQ(spread, (std::vector<float>{0, 2, 3, 4, 1, 0, 0, 0, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace batchwise::cpu

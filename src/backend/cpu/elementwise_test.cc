// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "backend/cpu/kernel_settings_test.h"

namespace batchwise::cpu {
namespace {

using Shape = std::vector<std::int64_t>;

// The offset of output element `at` in an operand, axis by axis.
std::int64_t operand_offset(const Shape& output, const Shape& operand, std::int64_t at) {
  std::int64_t offset = 0, stride = 1;
  for (std::size_t k = 0; k < output.size(); ++k) {
    const std::size_t axis = output.size() - 1 - k;
    const std::int64_t index = at % output[axis];
    at /= output[axis];
    if (k >= operand.size()) continue;
    const std::int64_t size = operand[operand.size() - 1 - k];
    if (size != 1) offset += index * stride;
    stride *= size;
  }
  return offset;
}

std::int64_t elements(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

struct BroadcastCase {
  Shape a, b, output;
};

const std::vector<BroadcastCase>& broadcast_cases() {
  static const std::vector<BroadcastCase> cases = {
      {{}, {}, {}},
      {{1}, {7}, {7}},
      {{37}, {37}, {37}},
      {{1, 1}, {3, 5}, {3, 5}},
      {{200, 10}, {10}, {200, 10}},
      {{200, 10}, {200, 1}, {200, 10}},
      {{33, 129}, {129}, {33, 129}},
      {{33, 1}, {33, 129}, {33, 129}},
      {{2, 3, 4, 5}, {3, 1, 1}, {2, 3, 4, 5}},
      {{4, 8, 9, 9}, {1, 8, 1, 1}, {4, 8, 9, 9}},
      {{2, 1, 3, 1, 2, 1}, {1, 3, 1, 2, 1, 5}, {2, 3, 3, 2, 2, 5}},
      {{5, 1, 70}, {1, 6, 70}, {5, 6, 70}},
      {{0, 4}, {4}, {0, 4}},
      {{70, 300}, {300}, {70, 300}},
  };
  return cases;
}

float apply(BinaryOp op, float a, float b) {
  switch (op) {
    case BinaryOp::kAdd:
      return a + b;
    case BinaryOp::kSub:
      return a - b;
    case BinaryOp::kMul:
      return a * b;
    case BinaryOp::kDiv:
      return a / b;
    case BinaryOp::kPow:
      return static_cast<float>(std::pow(static_cast<double>(a), static_cast<double>(b)));
    case BinaryOp::kMax:
      return a > b ? a : b;
    case BinaryOp::kMin:
      return a < b ? a : b;
  }
  return 0;
}

TEST(Elementwise, BinaryBroadcastsAsIndexArithmeticSays) {
  for (const BroadcastCase& c : broadcast_cases()) {
    const BroadcastPlan plan = plan_broadcast(c.a, c.b);
    ASSERT_EQ(plan.count, elements(c.output));
    const std::vector<float> a = random_floats(elements(c.a), 1, 0.5f, 4.0f);
    const std::vector<float> b = random_floats(elements(c.b), 2, 0.5f, 4.0f);
    for (int k = 0; k <= static_cast<int>(BinaryOp::kMin); ++k) {
      const auto op = static_cast<BinaryOp>(k);
      for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
        GuardedOutput y(plan.count);
        binary(op, plan, a.data(), b.data(), y.data(), pool);
        const std::vector<float> result = y.take();
        for (std::int64_t i = 0; i < plan.count; ++i) {
          const float p = a[static_cast<std::size_t>(operand_offset(c.output, c.a, i))];
          const float q = b[static_cast<std::size_t>(operand_offset(c.output, c.b, i))];
          ASSERT_EQ(result[static_cast<std::size_t>(i)], apply(op, p, q)) << name << " " << k;
        }
      });
    }
  }
}

TEST(Elementwise, MaxAndMinKeepNan) {
  const float nan = std::nanf("");
  const std::vector<float> a = {nan, 1.0f, nan}, b = {1.0f, nan, nan};
  const Shape shape = {3};
  for (const BinaryOp op : {BinaryOp::kMax, BinaryOp::kMin}) {
    std::vector<float> y(3);
    binary(op, plan_broadcast(shape, shape), a.data(), b.data(), y.data(), nullptr);
    for (const float value : y) EXPECT_TRUE(std::isnan(value));
  }
}

TEST(Elementwise, CompareAndSelectFollowTheirOperands) {
  const Shape a_shape = {40, 9}, b_shape = {40, 1};
  const BroadcastPlan plan = plan_broadcast(a_shape, b_shape);
  std::vector<float> a = random_floats(360, 3), b = random_floats(40, 4);
  for (std::size_t i = 0; i < 360; i += 5) a[i] = b[i / 9];
  a[7] = std::nanf("");
  const auto check = [&](CompareOp op, const auto& test) {
    std::vector<std::uint8_t> y(360, 9);
    compare(op, plan, a.data(), b.data(), y.data(), nullptr);
    for (std::size_t i = 0; i < 360; ++i) ASSERT_EQ(y[i] != 0, test(a[i], b[i / 9])) << i;
  };
  check(CompareOp::kEqual, [](float p, float q) { return p == q; });
  check(CompareOp::kLess, [](float p, float q) { return p < q; });
  check(CompareOp::kLessOrEqual, [](float p, float q) { return p <= q; });
  check(CompareOp::kGreater, [](float p, float q) { return p > q; });
  check(CompareOp::kGreaterOrEqual, [](float p, float q) { return p >= q; });

  const Shape condition_shape = {9};
  std::vector<std::uint8_t> condition(9);
  for (std::size_t i = 0; i < 9; i += 2) condition[i] = 1;
  const std::vector<std::span<const std::int64_t>> shapes = {condition_shape, a_shape, b_shape};
  a[7] = 1.0f;
  std::vector<float> y(360);
  select(plan_broadcast(shapes), condition.data(), a.data(), b.data(), y.data(), nullptr);
  for (std::size_t i = 0; i < 360; ++i) {
    ASSERT_EQ(y[i], i % 9 % 2 == 0 ? a[i] : b[i / 9]) << i;
  }
}

// The function of a step in double.
double exact(const UnaryStep& step, double x) {
  const double a = static_cast<double>(step.a), b = static_cast<double>(step.b);
  switch (step.op) {
    case UnaryOp::kIdentity:
      return x;
    case UnaryOp::kRelu:
      return x > 0 ? x : 0;
    case UnaryOp::kLeakyRelu:
      return x > 0 ? x : a * x;
    case UnaryOp::kClip:
      return std::fmin(std::fmax(x, a), b);
    case UnaryOp::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case UnaryOp::kTanh:
      return std::tanh(x);
    case UnaryOp::kGelu:
      return 0.5 * x * std::erfc(-x * std::sqrt(0.5));
    case UnaryOp::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case UnaryOp::kErf:
      return std::erf(x);
    case UnaryOp::kExp:
      return std::exp(x);
    case UnaryOp::kLog:
      return std::log(x);
    case UnaryOp::kSqrt:
      return std::sqrt(x);
    case UnaryOp::kNegate:
      return -x;
    case UnaryOp::kAbs:
      return std::fabs(x);
    case UnaryOp::kReciprocal:
      return 1 / x;
    case UnaryOp::kSquare:
      return x * x;
    case UnaryOp::kAffine:
      return a * x + b;
    case UnaryOp::kPower:
      return std::pow(x, a);
  }
  return 0;
}

bool needs_positive(UnaryOp op) {
  return op == UnaryOp::kLog || op == UnaryOp::kSqrt || op == UnaryOp::kPower;
}

UnaryStep step_of(int op) { return {static_cast<UnaryOp>(op), 0.37f, 1.3f}; }
constexpr int kNumUnary = static_cast<int>(UnaryOp::kPower) + 1;

TEST(Elementwise, UnaryAgreesWithDoubleAtEveryLength) {
  for (int op = 0; op < kNumUnary; ++op) {
    const UnaryStep step = step_of(op);
    const float low = needs_positive(step.op) ? 0.01f : -4.0f;
    for (const std::int64_t count : {0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 100}) {
      const std::vector<float> x = random_floats(count, 5, low, 4.0f);
      for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
        GuardedOutput y(count);
        unary(step, x.data(), y.data(), count, pool);
        const std::vector<float> result = y.take();
        for (std::size_t i = 0; i < result.size(); ++i) {
          const double expected = exact(step, static_cast<double>(x[i]));
          ASSERT_NEAR(result[i], expected, 4e-7 * std::fabs(expected) + 1e-7) << name << " " << op;
        }
      });
    }
  }
}

TEST(Elementwise, GradientsAgreeWithFiniteDifferences) {
  const std::int64_t count = 203;
  const std::vector<float> dy = random_floats(count, 6);
  for (int op = 0; op < kNumUnary; ++op) {
    const UnaryStep step = step_of(op);
    const float low = needs_positive(step.op) ? 0.1f : -4.0f;
    const std::vector<float> x = random_floats(count, 7, low, 4.0f);
    std::vector<float> y(x.size());
    unary(step, x.data(), y.data(), count, nullptr);
    const std::vector<float>& saved = unary_grad_reads_output(step.op) ? y : x;
    for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
      GuardedOutput dx(count);
      unary_grad(step, dy.data(), saved.data(), dx.data(), count, pool);
      const std::vector<float> result = dx.take();
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double at = static_cast<double>(x[i]);
        if (std::fabs(at) < 1e-3) continue;
        const double h = 1e-6;
        const double slope = (exact(step, at + h) - exact(step, at - h)) / (2 * h);
        ASSERT_NEAR(result[i], static_cast<double>(dy[i]) * slope, 3e-6 * (1 + std::fabs(slope)))
            << name << " " << op << " at " << at;
      }
    });
  }
}

TEST(Elementwise, SlopesAtKinks) {
  const std::vector<float> dy = {3.0f, 3.0f, 3.0f}, x = {0.0f, -1.0f, 1.0f};
  const auto slopes = [&](const UnaryStep& step) {
    std::vector<float> dx(3);
    unary_grad(step, dy.data(), x.data(), dx.data(), 3, nullptr);
    return dx;
  };
  EXPECT_EQ(slopes({UnaryOp::kRelu}), (std::vector<float>{0, 0, 3}));
  EXPECT_EQ(slopes({UnaryOp::kLeakyRelu, 0.5f}), (std::vector<float>{3, 1.5f, 3}));
  EXPECT_EQ(slopes({UnaryOp::kClip, 0.0f, 1.0f}), (std::vector<float>{3, 0, 3}));
  EXPECT_EQ(slopes({UnaryOp::kAbs}), (std::vector<float>{0, -3, 3}));
}

TEST(Elementwise, AnElementsBitsDoNotFollowItsPlace) {
  const std::vector<float> x = random_floats(64, 8, -3.0f, 3.0f);
  for (int op = 0; op < kNumUnary; ++op) {
    std::vector<float> whole(64);
    unary(step_of(op), x.data(), whole.data(), 64, nullptr);
    for (std::size_t i = 0; i < 64; ++i) {
      float alone = 0;
      unary(step_of(op), &x[i], &alone, 1, nullptr);
      EXPECT_EQ(std::memcmp(&alone, &whole[i], sizeof alone), 0) << op << " " << i;
    }
  }
}

TEST(Elementwise, ChainGivesTheBitsOfItsSteps) {
  const std::int64_t count = 50003;
  const std::vector<float> x = random_floats(count, 9),
                           other = random_floats(count, 10, 1.0f, 2.0f);
  ChainStep tanh, divide, affine;
  tanh.unary = {UnaryOp::kTanh};
  divide.is_binary = divide.is_swapped = true;
  divide.binary = BinaryOp::kDiv;
  divide.other = other.data();
  affine.unary = {UnaryOp::kAffine, 0.3f, 0.7f};
  const std::vector<ChainStep> steps = {tanh, affine, divide};
  const Shape shape = {count};
  std::vector<float> expected(x.size());
  unary(tanh.unary, x.data(), expected.data(), count, nullptr);
  unary(affine.unary, expected.data(), expected.data(), count, nullptr);
  binary(BinaryOp::kDiv, plan_broadcast(shape, shape), other.data(), expected.data(),
         expected.data(), nullptr);
  ThreadPool pool(3);
  GuardedOutput y(count);
  elementwise_chain(steps, x.data(), y.data(), count, &pool);
  EXPECT_TRUE(same_bits(y.take(), expected));
}

}  // namespace
}  // namespace batchwise::cpu

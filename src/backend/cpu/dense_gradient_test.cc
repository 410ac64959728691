// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "backend/cpu/dense.h"
#include "backend/cpu/dense_law_test.h"

namespace batchwise::cpu {
namespace {

struct Shape {
  std::int64_t m, k, n;
};

class WeightGradient : public testing::TestWithParam<Shape> {};

void run(const WeightGradientJob& job, int threads) {
  GuardedFloats scratch(
      static_cast<std::int64_t>(weight_gradient_scratch_floats(job.m, job.k, job.n, threads)));
  weight_gradient(job, pool_with(threads), scratch.data());
  ASSERT_TRUE(scratch.guards_are_whole());
}

// Gives the batch in pieces of `piece` samples, with padding between the rows of dW.
void expect_pieces(const Shape& shape, const GuardedFloats& x, const GuardedFloats& dy,
                   const std::vector<float>& start, const std::vector<float>& expected,
                   std::int64_t piece, int threads, bool from_zero) {
  const std::int64_t stride = shape.n + 3;
  GuardedFloats dw((shape.k - 1) * stride + shape.n, 1);
  for (std::int64_t i = 0; i < dw.size(); ++i) {
    dw[i] = i % stride < shape.n && !from_zero ? start[i / stride * shape.n + i % stride]
                                               : GuardedFloats::kSentinel;
  }
  for (std::int64_t m = 0; m < shape.m; m += piece) {
    WeightGradientJob job;
    job.m = std::min(piece, shape.m - m);
    job.k = shape.k;
    job.n = shape.n;
    job.x = x.data() + m * shape.k;
    job.x_stride = shape.k;
    job.dy = dy.data() + m * shape.n;
    job.dy_stride = shape.n;
    job.dw = dw.data();
    job.dw_stride = stride;
    job.accumulate = !(from_zero && m == 0);
    run(job, threads);
  }
  for (std::int64_t i = 0; i < dw.size(); ++i) {
    const float value = i % stride < shape.n ? expected[i / stride * shape.n + i % stride]
                                             : GuardedFloats::kSentinel;
    ASSERT_EQ(std::memcmp(&dw[i], &value, sizeof value), 0)
        << isa_name(current_isa()) << " pieces of " << piece << ", threads " << threads << ": row "
        << i / stride << " column " << i % stride;
  }
  ASSERT_TRUE(dw.guards_are_whole());
}

TEST_P(WeightGradient, HasTheSameBitsHoweverTheBatchIsCut) {
  const Shape shape = GetParam();
  GuardedFloats x(shape.m * shape.k, 3), dy(shape.m * shape.n, 7);
  fill_random(x, 1);
  fill_random(dy, 2);
  GuardedFloats start(shape.k * shape.n);
  fill_random(start, 3);
  for (Isa isa : usable_isas()) {
    const IsaCap cap(isa);
    for (bool from_zero : {false, true}) {
      std::vector<float> begin(start.data(), start.data() + start.size());
      std::vector<float> expected = begin;
      if (from_zero) expected.assign(expected.size(), 0.0f);
      add_gradient_by_law(shape.m, shape.k, shape.n, x.data(), dy.data(), expected.data(),
                          has_fused_multiply_add());
      for (std::int64_t piece : {1, 2, 3, 4, 8, 64, 1000}) {
        for (int threads : {1, 2, 4}) {
          expect_pieces(shape, x, dy, begin, expected, piece, threads, from_zero);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, WeightGradient,
                         testing::Values(Shape{192, 98, 64}, Shape{70, 130, 33}, Shape{64, 200, 10},
                                         Shape{256, 200, 10}, Shape{512, 300, 1}, Shape{64, 50, 1},
                                         Shape{40, 1, 50}, Shape{5, 7, 3}, Shape{1100, 20, 18},
                                         Shape{20, 100, 300}),
                         [](const auto& test) {
                           return fmt::format("m{}k{}n{}", test.param.m, test.param.k,
                                              test.param.n);
                         });

TEST(WeightGradientEdges, WithoutSamplesItIsZeroOrUntouched) {
  std::vector<float> dw(12, 2.0f);
  WeightGradientJob job;
  job.k = 3;
  job.n = 4;
  job.dw = dw.data();
  job.dw_stride = 4;
  run(job, 2);
  EXPECT_EQ(dw, std::vector<float>(12, 2.0f));
  job.accumulate = false;
  run(job, 2);
  EXPECT_EQ(dw, std::vector<float>(12, 0.0f));
}

TEST(BiasGradient, IsAChainOfAdditionsInTheOrderOfSamples) {
  for (Isa isa : usable_isas()) {
    const IsaCap cap(isa);
    for (std::int64_t n : {1, 10, 16, 500}) {
      const std::int64_t m = 75, stride = n + 2;
      GuardedFloats dy(m * stride, 1), start(n);
      fill_random(dy, 8);
      fill_random(start, 9);
      for (bool accumulate : {true, false}) {
        std::vector<float> expected(start.data(), start.data() + n);
        for (std::int64_t j = 0; j < n; ++j) {
          if (!accumulate) expected[j] = 0.0f;
          for (std::int64_t s = 0; s < m; ++s) expected[j] += dy[s * stride + j];
        }
        for (int threads : {1, 2, 4}) {
          GuardedFloats db(n, 3);
          std::copy(start.data(), start.data() + n, db.data());
          bias_gradient({m, n, dy.data(), stride, db.data(), accumulate}, pool_with(threads));
          ASSERT_EQ(std::memcmp(db.data(), expected.data(), sizeof(float) * n), 0) << "n " << n;
          ASSERT_TRUE(db.guards_are_whole());
        }
      }
    }
  }
}

}  // namespace
}  // namespace batchwise::cpu

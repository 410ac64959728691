// SPDX-License-Identifier: Apache-2.0
#include "batching/curve_learning.h"

#include <gmock/gmock.h>

#include <random>

#include "batching/batch_sizes.h"

namespace batchwise {
namespace {

using testing::ElementsAre;

// An estimate of 100 us + 10 us a row, good to a factor of two.
CostCurve estimate() {
  const auto at = [](std::int64_t rows) {
    const double us = 100 + 10 * static_cast<double>(rows);
    return CostPoint{rows, {us / 2, us, us * 2}, rows};
  };
  return CostCurve({at(1), at(4), at(16), at(64)});
}

TEST(CurveLearner, StartsAsTheEstimate) {
  const CurveLearner learner(estimate());
  EXPECT_FALSE(learner.has_moved());
  EXPECT_EQ(learner.curve().us(16), 260);
  EXPECT_EQ(learner.curve().safe_us(16), 520);
}

TEST(CurveLearner, TakesWhatItSawAndMovesTheRest) {
  CurveLearner learner(estimate());
  for (int i = 0; i < 10; ++i) learner.note(4, 70);  // half of the estimate
  EXPECT_TRUE(learner.has_moved());
  EXPECT_EQ(learner.curve().us(4), 140);
  learner.update();
  EXPECT_FALSE(learner.has_moved());
  const CostCurve& curve = learner.curve();
  EXPECT_DOUBLE_EQ(curve.us(4), 70);
  EXPECT_LT(curve.safe_us(4), 75);
  EXPECT_DOUBLE_EQ(curve.us(1), 55);
  EXPECT_DOUBLE_EQ(curve.us(64), 370);
  EXPECT_DOUBLE_EQ(curve.safe_us(64), 740);
  EXPECT_EQ(curve.max_rows(), 64);
  EXPECT_EQ(curve.bytes(16), 16);
}

TEST(CurveLearner, LearnsSizesThatTheEstimateDoesNotHave) {
  CurveLearner learner(estimate());
  for (int i = 0; i < 10; ++i) learner.note(10, 150), learner.note(12, 140);
  learner.update();
  EXPECT_DOUBLE_EQ(learner.curve().us(12), 140);
  // 10 rows run cheaper as 12.
  EXPECT_EQ(learner.curve().run_rows(10), 12);
}

TEST(CurveLearner, IntervalsHoldMostOfWhatComes) {
  CurveLearner learner(estimate());
  std::mt19937_64 random(3);
  std::normal_distribution<double> time(200, 15);
  for (int i = 0; i < 400; ++i) learner.note(8, time(random));
  const CostCurve curve = learner.update();
  EXPECT_NEAR(curve.us(8), 200, 10);
  int outside = 0;
  for (int i = 0; i < 1000; ++i) outside += time(random) > curve.safe_us(8) ? 1 : 0;
  EXPECT_LT(outside, 100);
}

TEST(CurveLearner, FollowsAMachineThatBecomesSlow) {
  CurveLearner learner(estimate());
  for (int i = 0; i < 300; ++i) learner.note(16, 260);
  learner.update();
  for (int i = 0; i < 20 && !learner.has_moved(); ++i) learner.note(16, 520);
  EXPECT_TRUE(learner.has_moved());
  for (int i = 0; i < 300; ++i) learner.note(16, 520);
  learner.update();
  EXPECT_NEAR(learner.curve().us(16), 520, 10);
  for (int i = 0; i < 300; ++i) learner.note(16, 260);
  EXPECT_NEAR(learner.update().us(16), 260, 10);
}

TEST(CurveLearner, OneHoldUpIsNoDrift) {
  CurveLearner learner(estimate());
  for (int i = 0; i < 100; ++i) learner.note(16, 260 + i % 5);
  learner.update();
  learner.note(16, 50e3);
  learner.update();
  EXPECT_LT(learner.curve().us(16), 290);
}

TEST(CurveLearner, TheFirstRunMayBeHeldUp) {
  CurveLearner learner(estimate());
  learner.note(1, 30e3), learner.note(1, 40), learner.note(1, 41);
  learner.update();
  EXPECT_NEAR(learner.curve().us(1), 41, 1);
  EXPECT_LT(learner.curve().safe_us(1), 60);
}

TEST(CurveLearner, MeasuresTheSmallestFirstAndEachAsOften) {
  CurveLearner learner(estimate());
  const std::vector<std::int64_t> sizes{1, 4, 16};
  std::vector<std::int64_t> order;
  while (const std::int64_t next = next_to_measure(learner, sizes, 2)) {
    order.push_back(next);
    learner.note(next, 10);
  }
  EXPECT_THAT(order, ElementsAre(1, 4, 16, 1, 4, 16));
}

TEST(PreparedSizes, AreDenseWhereRowsAreFew) {
  EXPECT_THAT(prepared_sizes(1), ElementsAre(1));
  EXPECT_THAT(prepared_sizes(5), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(prepared_sizes(30),
              ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 30));
  EXPECT_EQ(prepared_sizes(256).size(), 28U);
}

}  // namespace
}  // namespace batchwise

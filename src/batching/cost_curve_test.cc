// SPDX-License-Identifier: Apache-2.0
#include "batching/cost_curve.h"

#include <gtest/gtest.h>

#include "batchwise/error.h"

namespace batchwise {
namespace {

CostPoint point(std::int64_t rows, double us, std::int64_t bytes) {
  return {rows, {us * 0.9, us, us * 1.1}, bytes};
}

TEST(CostCurve, IsStraightBetweenMeasuredPoints) {
  const CostCurve curve({point(8, 170, 800), point(1, 100, 100), point(2, 110, 200)});
  EXPECT_EQ(curve.max_rows(), 8);
  EXPECT_DOUBLE_EQ(curve.us(1), 100);
  EXPECT_DOUBLE_EQ(curve.us(2), 110);
  EXPECT_DOUBLE_EQ(curve.us(5), 140);
  EXPECT_DOUBLE_EQ(curve.safe_us(5), 154);
  EXPECT_DOUBLE_EQ(curve.low_us(5), 126);
  EXPECT_EQ(curve.bytes(5), 500);
  EXPECT_EQ(curve.run_rows(5), 5);
  EXPECT_DOUBLE_EQ(curve.best_us_per_row(2), 55);
}

TEST(CostCurve, BelowTheFirstPointAllIsAsThere) {
  const CostCurve curve({point(4, 100, 400), point(8, 200, 800)});
  EXPECT_DOUBLE_EQ(curve.us(1), 100);
  EXPECT_EQ(curve.bytes(1), 400);
}

TEST(CostCurve, PadsToAFasterSize) {
  const CostCurve curve({point(1, 10, 1), point(7, 90, 7), point(8, 60, 8), point(16, 100, 16)});
  EXPECT_EQ(curve.run_rows(7), 8);
  EXPECT_DOUBLE_EQ(curve.us(7), 60);
  EXPECT_EQ(curve.bytes(7), 8);
  EXPECT_EQ(curve.run_rows(2), 2);
  EXPECT_EQ(curve.run_rows(9), 9);
}

TEST(CostCurve, FindsTheRowsThatALimitAllows) {
  const CostCurve curve({point(1, 100, 100), point(11, 200, 1100)});
  EXPECT_EQ(curve.rows_within_bytes(99), 0);
  EXPECT_EQ(curve.rows_within_bytes(100), 1);
  EXPECT_EQ(curve.rows_within_bytes(750), 7);
  EXPECT_EQ(curve.rows_within_bytes(1'000'000), 11);
  EXPECT_EQ(curve.rows_within_us(109), 0);
  EXPECT_EQ(curve.rows_within_us(111), 1);
  EXPECT_EQ(curve.rows_within_us(1.1 * 150 + 0.01), 6);
}

TEST(CostCurve, AloneALargeRequestRunsInSlices) {
  const CostCurve curve({point(1, 100, 1), point(11, 200, 1)});
  EXPECT_DOUBLE_EQ(curve.safe_us_alone(3, 11), 1.1 * 120);
  EXPECT_DOUBLE_EQ(curve.safe_us_alone(25, 11), 1.1 * (400 + 120));
  EXPECT_DOUBLE_EQ(curve.safe_us_alone(22, 11), 1.1 * 400);
}

TEST(CostCurve, RefusesWhatMakesNoSense) {
  EXPECT_THROW(CostCurve({}), Error);
  EXPECT_THROW(CostCurve({point(0, 10, 1)}), Error);
  EXPECT_THROW(CostCurve({point(1, -10, 1)}), Error);
  EXPECT_THROW(CostCurve({point(1, 10, -1)}), Error);
  EXPECT_THROW(CostCurve({point(1, 10, 1), point(1, 11, 1)}), Error);
  EXPECT_THROW(CostCurve({CostPoint{1, {12, 10, 13}, 1}}), Error);
}

}  // namespace
}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "batching/choose_serving.h"

#include <gtest/gtest.h>

#include "batchwise/error.h"

namespace batchwise {
namespace {

// t(b) = fixed + each * b, exactly, to 64 rows.
CostCurve line(double fixed_us, double each_us, std::int64_t bytes_a_row = 1000) {
  std::vector<CostPoint> points;
  for (std::int64_t rows = 1; rows <= 64; rows *= 2) {
    const double us = fixed_us + each_us * static_cast<double>(rows);
    points.push_back({rows, {us, us, us}, bytes_a_row * rows});
  }
  return CostCurve(points);
}

ServingLayout layout(int instances, int threads, CostCurve curve) {
  return {instances, threads, std::move(curve)};
}

ServingQuestion question(double p99_us) {
  ServingQuestion question;
  question.p99_us = p99_us;
  question.requests = 10'000;
  return question;
}

TEST(ChooseServing, TheCapacityIsThatOfTheBestSizeWithinTheLimit) {
  // 100 + 10 b: 8 rows take 180, so 2 instances do 16 each 180 us.
  const ServingLayout two = layout(2, 1, line(100, 10));
  EXPECT_NEAR(serving_capacity(two, question(1e5), 8), 16e6 / 180, 1);
  ServingQuestion of_four = question(1e5);
  of_four.rows = 4;
  EXPECT_NEAR(serving_capacity(two, of_four, 8), 4e6 / 180, 1);
}

TEST(ChooseServing, WhatIsSpentBesideTheModelIsPartOfABatch) {
  ServingLayout one = layout(1, 1, line(100, 10));
  one.batch_us = 5;
  one.request_us = 2;
  EXPECT_DOUBLE_EQ(one.curve_in_service(1).us(8), 180 + 5 + 16);
  EXPECT_DOUBLE_EQ(one.curve_in_service(4).us(8), 180 + 5 + 4);
}

TEST(ChooseServing, TheCertificateIsBinomial) {
  // (1 - 0.01)^n <= 0.05 first at n = 299.
  EXPECT_FALSE(is_certified(0, 298));
  EXPECT_TRUE(is_certified(0, 299));
  EXPECT_FALSE(is_certified(100, 10'000));
  EXPECT_TRUE(is_certified(80, 10'000));
}

// Two cores on one batch take half the time: the answer comes sooner, and as many come.
TEST(ChooseServing, PerfectScalingOfThreadsTakesOneInstance) {
  const ServingChoice choice =
      choose_serving({layout(1, 2, line(50, 10)), layout(2, 1, line(100, 20))}, question(1000));
  EXPECT_EQ(choice.best, 0U);
  EXPECT_EQ(choice.layouts[0].instances, 1);
  EXPECT_GT(choice.layouts[0].rate_per_s, choice.layouts[1].rate_per_s);
}

// The second core gains nothing within a batch: two batches at once are twice as many.
TEST(ChooseServing, NoScalingOfThreadsTakesAnInstanceACore) {
  const ServingChoice choice =
      choose_serving({layout(1, 2, line(100, 20)), layout(2, 1, line(100, 20))}, question(5000));
  ASSERT_EQ(choice.best, 1U);
  EXPECT_EQ(choice.layouts[1].threads, 1);
  EXPECT_NEAR(choice.layouts[1].rate_per_s / choice.layouts[0].rate_per_s, 2, 0.15);
}

TEST(ChooseServing, MemoryForbidsSeveralInstances) {
  const std::vector<ServingLayout> layouts{layout(1, 2, line(100, 20)),
                                           layout(2, 1, line(100, 20))};
  ServingQuestion tight = question(5000);
  tight.shared_bytes = 10'000;
  tight.memory_bytes = 11'500;  // one instance has room for a row, two have not
  const ServingChoice choice = choose_serving(layouts, tight);
  EXPECT_EQ(choice.best, 0U);
  EXPECT_EQ(choice.layouts[0].max_batch, 1);
  EXPECT_EQ(choice.layouts[1].max_batch, 0);
  EXPECT_EQ(choice.layouts[1].rate_per_s, 0);
  EXPECT_NE(choice.layouts[1].why_not.find("12000"), std::string::npos)
      << choice.layouts[1].why_not;

  tight.memory_bytes = 10'000 + 16'000;  // 16 rows, or 8 in each of two
  const ServingChoice more = choose_serving(layouts, tight);
  EXPECT_LE(more.layouts[0].max_batch, 16);
  EXPECT_LE(more.layouts[1].max_batch, 8);
  EXPECT_GT(more.layouts[1].rate_per_s, 0);
}

// Beyond 8 rows a batch gains nothing, so that a larger limit is not asked for.
TEST(ChooseServing, TheBatchLimitIsTheSmallestThatIsNearlyAsGood) {
  std::vector<CostPoint> points;
  for (std::int64_t rows = 1; rows <= 64; rows *= 2) {
    const double us = rows <= 8 ? 100 : 12.5 * static_cast<double>(rows);
    points.push_back({rows, {us, us, us}, 0});
  }
  const ServingChoice choice = choose_serving({layout(1, 1, CostCurve(points))}, question(50'000));
  EXPECT_EQ(choice.layouts[0].max_batch, 8);
  ASSERT_EQ(choice.sizes.size(), 3U);
  EXPECT_EQ(choice.sizes[0].max_batch, 4);
  EXPECT_EQ(choice.sizes[1].max_batch, 8);
  EXPECT_EQ(choice.sizes[2].max_batch, 16);
  EXPECT_NEAR(choice.sizes[0].rate_per_s / choice.sizes[1].rate_per_s, 0.5, 0.05);
}

TEST(ChooseServing, TheRateHoldsTheLimitAndNotMuchMoreDoes) {
  const ServingLayout one = layout(1, 1, line(100, 10));
  for (const double p99_us : {400.0, 1000.0, 5000.0}) {
    const ServingCandidate found = find_largest_rate(one, question(p99_us), 64);
    ASSERT_GT(found.rate_per_s, 0) << found.why_not;
    EXPECT_LE(found.rate_per_s, kMostLoad * found.capacity_per_s * 1.0001);
    EXPECT_LE(found.simulation.p99_us, p99_us);
    EXPECT_TRUE(
        is_certified(found.simulation.late + found.simulation.refused, found.simulation.requests));
  }
  EXPECT_LT(find_largest_rate(one, question(300), 64).rate_per_s,
            find_largest_rate(one, question(5000), 64).rate_per_s);
}

TEST(ChooseServing, ALimitThatNoRequestMeetsHasNoRate) {
  const ServingChoice choice = choose_serving({layout(1, 1, line(100, 10))}, question(105));
  EXPECT_EQ(choice.layouts[choice.best].rate_per_s, 0);
  EXPECT_NE(choice.layouts[0].why_not.find("110"), std::string::npos) << choice.layouts[0].why_not;
  EXPECT_TRUE(choice.sizes.empty());
  EXPECT_THROW(choose_serving({}, question(100)), Error);
  EXPECT_THROW(choose_serving({layout(1, 1, line(1, 1))}, question(0)), Error);
}

TEST(ChooseServing, LayoutsAreTheDivisorsOfTheThreads) {
  const auto of_six = thread_layouts(6);
  ASSERT_EQ(of_six.size(), 4U);
  EXPECT_EQ(of_six[1].instances, 2);
  EXPECT_EQ(of_six[1].threads, 3);
  EXPECT_EQ(of_six[3].instances, 6);
  EXPECT_EQ(of_six[3].threads, 1);
  EXPECT_EQ(thread_layouts(1).size(), 1U);
}

}  // namespace
}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "batching/backlog.h"

#include <gtest/gtest.h>

#include "batching/request_queue.h"

namespace batchwise {
namespace {

TEST(Backlog, CountsWhatIsDueBefore) {
  Backlog backlog(1000);
  backlog.advance(5000);
  backlog.add(5100, 7);
  backlog.add(5500, 11);
  backlog.add(5900, 13);
  EXPECT_EQ(backlog.due_us(5050), 0);
  EXPECT_EQ(backlog.due_us(5100), 7);
  EXPECT_EQ(backlog.due_us(5600), 18);
  EXPECT_EQ(backlog.due_us(99e9), 31);
  backlog.add(5500, -11);
  EXPECT_EQ(backlog.due_us(5600), 7);
  backlog.advance(5300);
  EXPECT_EQ(backlog.due_us(6000), 13);
  backlog.advance(1e6);
  EXPECT_EQ(backlog.due_us(2e6), 0);
  // Far ones are all at the end.
  backlog.add(kNever, 3);
  EXPECT_EQ(backlog.due_us(1e6 + 900), 0);
  EXPECT_EQ(backlog.due_us(kNever), 3);
}

// A row takes 10 us in any batch.
class EarlyRefusalTest : public testing::Test {
 protected:
  EarlyRefusalTest() {
    options_.admission_window_us = 1000;
    const auto at = [](std::int64_t rows) {
      const double us = 10 * static_cast<double>(rows);
      return CostPoint{rows, {us, us, us}, 0};
    };
    models_.emplace_back(std::vector<CostPoint>{at(1), at(16)});
  }
  bool arrive(double at_us, double timeout_us, std::int32_t client = 0) {
    WaitingRequest request;
    request.id = next_id_++;
    request.arrival_us = at_us;
    request.deadline_us = at_us + timeout_us;
    request.client = client;
    return queue_.arrive({models_, options_}, request);
  }
  void run(double now_us) {
    queue_.decide({models_, options_}, now_us);
    ASSERT_TRUE(queue_.take({models_, options_}, now_us, batch_));
    batch_.end_us = now_us + 10 * static_cast<double>(batch_.rows);
    queue_.finish({models_, options_}, batch_);
  }

  SchedulerOptions options_;
  std::vector<CostCurve> models_;
  RequestQueue queue_{1};
  RunningBatch batch_;
  std::int64_t next_id_ = 0;
};

TEST_F(EarlyRefusalTest, RefusesWhatWouldComeTooLate) {
  int accepted = 0;
  while (arrive(1, 500)) ++accepted;
  EXPECT_NEAR(accepted, 50, 3);
  // What is due before the others goes before them; what has more time can wait.
  EXPECT_TRUE(arrive(2, 100));
  EXPECT_TRUE(arrive(2, 900));
  EXPECT_FALSE(arrive(2, 500));
  // There is room again for what has run.
  run(3);
  EXPECT_TRUE(arrive(4, 510));
}

TEST_F(EarlyRefusalTest, TakesWhoHadLittle) {
  for (int i = 0; i < 20; ++i) arrive(1, 500, 1);
  while (queue_.can_start()) run(2);
  arrive(3, 900, 2);
  int accepted = 0;
  while (accepted < 1000 && arrive(4, 500, 1)) ++accepted;
  EXPECT_LT(accepted, 60);
  EXPECT_TRUE(arrive(4, 500, 2));
}

TEST_F(EarlyRefusalTest, IsOffWhereItWasNotAskedFor) {
  options_.admission_window_us = 0;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(arrive(1, 500));
}

}  // namespace
}  // namespace batchwise

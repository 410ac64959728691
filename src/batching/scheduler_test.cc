// SPDX-License-Identifier: Apache-2.0
// What each policy decides on queues small enough to be checked by hand.
#include "batching/scheduler.h"

#include <gmock/gmock.h>

#include "batchwise/error.h"

namespace batchwise {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// t(b) = 90 + 10 b up to 16 rows, without uncertainty; 100 bytes a row.
std::vector<CostCurve> one_model() {
  const auto at = [](std::int64_t rows) {
    const double us = 90 + 10 * static_cast<double>(rows);
    return CostPoint{rows, {us, us, us}, rows * 100};
  };
  return {CostCurve({at(1), at(16)})};
}

class SchedulerTest : public testing::Test {
 protected:
  WaitingRequest& add(double arrival_us, double deadline_us = kNever, std::int32_t rows = 1) {
    WaitingRequest request;
    request.id = static_cast<std::int64_t>(waiting_.size());
    request.arrival_us = arrival_us;
    request.deadline_us = deadline_us;
    request.rows = rows;
    return waiting_.emplace_back(request);
  }
  const Decision& decide_at(double now_us) {
    view_.waiting = waiting_;
    view_.models = models_;
    decide(view_, options_, now_us, decision_);
    return decision_;
  }
  std::vector<std::int64_t> ids() const {
    std::vector<std::int64_t> found;
    for (const BatchPiece& piece : decision_.batch) found.push_back(waiting_[piece.index].id);
    return found;
  }

  std::vector<CostCurve> models_ = one_model();
  std::vector<WaitingRequest> waiting_;
  SchedulerOptions options_;
  QueueView view_;
  Decision decision_;
};

TEST_F(SchedulerTest, NothingWaitsNothingRuns) {
  EXPECT_THAT(decide_at(5).batch, IsEmpty());
  EXPECT_EQ(decision_.wait_until_us, kNever);
}

TEST_F(SchedulerTest, GreedyTakesWhatFits) {
  options_.policy = Policy::kGreedy;
  for (int i = 0; i < 20; ++i) add(i);
  EXPECT_EQ(decide_at(30).rows, 16);
  EXPECT_EQ(decision_.reason, Reason::kFull);
  options_.max_batch_rows = 5;
  EXPECT_EQ(decide_at(30).rows, 5);
  view_.free_bytes = 350;
  EXPECT_EQ(decide_at(30).rows, 3);
}

TEST_F(SchedulerTest, AnotherShapeIsNotInTheWay) {
  for (const Policy policy : {Policy::kGreedy, Policy::kDeadline}) {
    options_.policy = policy;
    waiting_.clear();
    add(0, 1000), add(1, 1001).shape = 1, add(2, 1002);
    decide_at(3);
    EXPECT_THAT(ids(), ElementsAre(0, 2));
  }
  // Triton's closes the batch there.
  options_.policy = Policy::kDelay;
  decide_at(3);
  EXPECT_THAT(ids(), ElementsAre(0));
}

TEST_F(SchedulerTest, DelayWaitsForItsDelayAndNoLonger) {
  options_.policy = Policy::kDelay;
  options_.max_queue_delay_us = 50;
  add(100), add(110);
  EXPECT_THAT(decide_at(120).batch, IsEmpty());
  EXPECT_EQ(decision_.wait_until_us, 150);
  EXPECT_EQ(decide_at(150).rows, 2);
  EXPECT_EQ(decision_.reason, Reason::kDelayOver);
}

TEST_F(SchedulerTest, DelaySendsAPreferredSizeAtOnce) {
  options_.policy = Policy::kDelay;
  options_.max_queue_delay_us = 50;
  options_.preferred_rows = {2, 4};
  add(100), add(101), add(102);
  EXPECT_EQ(decide_at(103).rows, 2);
  EXPECT_EQ(decision_.reason, Reason::kPreferred);
  // Once the delay is over all go.
  EXPECT_EQ(decide_at(150).rows, 3);
}

TEST_F(SchedulerTest, DelayRefusesOrPutsBehindAtItsTimeout) {
  options_.policy = Policy::kDelay;
  options_.queue_timeout_us = 40;
  options_.max_batch_rows = 1;
  add(100), add(150);
  EXPECT_THAT(decide_at(160).refused, ElementsAre(0U));
  EXPECT_THAT(ids(), ElementsAre(1));
  options_.on_timeout = SchedulerOptions::OnTimeout::kDelay;
  EXPECT_THAT(decide_at(160).refused, IsEmpty());
  EXPECT_THAT(ids(), ElementsAre(1));
}

TEST_F(SchedulerTest, DelayDoesNotSplitARequest) {
  options_.policy = Policy::kDelay;
  EXPECT_FALSE(can_admit(add(0, kNever, 17), models_[0], options_, 16, 0, 0));
  EXPECT_TRUE(can_admit(add(0, kNever, 16), models_[0], options_, 16, 0, 0));
}

TEST_F(SchedulerTest, DeadlineRefusesWhatCannotFinish) {
  add(0, 199), add(0, 200);
  EXPECT_THAT(decide_at(100).refused, ElementsAre(0U));
  EXPECT_THAT(ids(), ElementsAre(1));
  EXPECT_FALSE(can_admit(waiting_[1], models_[0], options_, 16, 1, 101));
  EXPECT_TRUE(can_admit(waiting_[1], models_[0], options_, 16, 1, 100));
}

TEST_F(SchedulerTest, DeadlineMakesTheBatchNoSlowerThanItsFirstDeadlineAllows) {
  add(0, 225);
  for (int i = 1; i < 10; ++i) add(i, 1000 + i);
  // 3 rows take 120 us, 4 take 130.
  EXPECT_EQ(decide_at(100).rows, 3);
  EXPECT_EQ(decision_.reason, Reason::kDeadline);
  EXPECT_THAT(ids(), ElementsAre(0, 1, 2));
}

TEST_F(SchedulerTest, DeadlineTakesTheEarliestDeadlineNotTheFirstArrival) {
  options_.max_batch_rows = 1;
  add(0, 900), add(1, 500), add(2, 700);
  decide_at(3);
  EXPECT_THAT(ids(), ElementsAre(1));
}

TEST_F(SchedulerTest, DeadlineSplitsALargeRequestAndJoinsItsRest) {
  add(0, 2000, 20);
  decide_at(0);
  ASSERT_EQ(decision_.batch.size(), 1U);
  EXPECT_EQ(decision_.batch[0].rows, 16);
  waiting_[0].rows = 4;
  waiting_[0].started = true;
  add(1, 2000), add(2, 500);
  EXPECT_EQ(decide_at(250).rows, 6);
  EXPECT_EQ(decision_.batch[0].index, 0U);
  // Not started where its rest could not finish.
  waiting_.clear();
  add(0, 250 + 130 - 1, 20);
  EXPECT_THAT(decide_at(0).refused, ElementsAre(0U));
}

TEST_F(SchedulerTest, DeadlineHonoursPriorities) {
  options_.max_batch_rows = 2;
  add(0, 500).priority = 1, add(1, 900), add(2, 901).priority = 2;
  decide_at(3);
  EXPECT_THAT(ids(), ElementsAre(1, 0));
}

// Requests a microsecond, all with this time.
Traffic traffic_at(double rate, double timeout_us, const CostCurve& curve) {
  Traffic traffic;
  for (int i = 0; i < 100; ++i) note_arrival(traffic, i / rate, timeout_us, 1, curve);
  return traffic;
}

TEST_F(SchedulerTest, DeadlineRunsAtOnceAtLowLoad) {
  const Traffic traffic = traffic_at(0.001, 5000, models_[0]);
  EXPECT_NEAR(traffic.rate(), 0.001, 1e-9);
  view_.traffic = &traffic;
  add(0, 5000);
  EXPECT_EQ(decide_at(0).rows, 1);
}

TEST_F(SchedulerTest, DeadlineWaitsForCompanyOnlyWhileItCostsNoDeadline) {
  const Traffic traffic = traffic_at(0.05, 5000, models_[0]);
  view_.traffic = &traffic;
  const double now = traffic.last_arrival_us;
  add(now, now + 5000);
  EXPECT_THAT(decide_at(now).batch, IsEmpty());
  EXPECT_EQ(decision_.reason, Reason::kForCompany);
  EXPECT_NEAR(decision_.wait_until_us, now + 2 / 0.05, 1e-6);
  // With company it needs 110 us: it can be waited until 120 - 110.
  waiting_[0].deadline_us = now + 120;
  EXPECT_NEAR(decide_at(now).wait_until_us, now + 10, 1e-6);
  EXPECT_EQ(decide_at(now + 10).rows, 1);
  options_.may_wait = false;
  EXPECT_EQ(decide_at(now).rows, 1);
}

// Clients that send the next request after an answer would else all wait until the deadline.
TEST_F(SchedulerTest, DeadlineDoesNotWaitAgainWhereNobodyCame) {
  const Traffic traffic = traffic_at(0.05, 5000, models_[0]);
  view_.traffic = &traffic;
  const double now = traffic.last_arrival_us;
  add(now, now + 5000);
  const double until = decide_at(now).wait_until_us;
  ASSERT_LT(until, now + 5000);
  EXPECT_EQ(decide_at(until).rows, 1);
}

TEST_F(SchedulerTest, UnderOverloadTheClientThatHadLessGoesFirst) {
  const Traffic traffic = traffic_at(0.5, 5000, models_[0]);
  ASSERT_GT(traffic.load(1), 1);
  view_.traffic = &traffic;
  const std::vector<double> client_us{300, 100};
  view_.client_us = client_us;
  options_.max_batch_rows = 1;
  add(0, 5000), add(1, 5001).client = 1;
  decide_at(2);
  EXPECT_THAT(ids(), ElementsAre(1));
}

TEST_F(SchedulerTest, UnderOverloadAModelThatHadTooLittleGoesFirst) {
  // An answer of the second model takes ten times as long.
  models_.push_back(CostCurve({{1, {1000, 1000, 1000}, 100}, {16, {2500, 2500, 2500}, 1600}}));
  const Traffic traffic = traffic_at(0.5, 5000, models_[0]);
  view_.traffic = &traffic;
  for (int i = 0; i < 4; ++i) add(i, 5000);
  add(4, 5000).model = 1;
  decide_at(5);
  EXPECT_EQ(decision_.model, 0) << "by answers a second";
  const std::vector<double> fair{300, 200};
  view_.model_us = fair;
  decide_at(5);
  EXPECT_EQ(decision_.model, 0) << "two fifths are enough";
  const std::vector<double> unfair{300, 50};
  view_.model_us = unfair;
  decide_at(5);
  EXPECT_EQ(decision_.model, 1);
  waiting_.back().priority = 1;
  decide_at(5);
  EXPECT_EQ(decision_.model, 0) << "priority comes before fairness";
  waiting_.back().priority = 0;
  view_.free_bytes = 90;
  EXPECT_THAT(decide_at(5).batch, IsEmpty());
  models_[0] = CostCurve({{1, {100, 100, 100}, 50}, {16, {250, 250, 250}, 50}});
  decide_at(5);
  EXPECT_EQ(decision_.model, 0) << "memory forbids the other one";
}

TEST_F(SchedulerTest, UnderOverloadThoseWhoseTimeIsNearlyOverDoNotMakeBatchesSmall) {
  const Traffic traffic = traffic_at(0.5, 1000, models_[0]);
  view_.traffic = &traffic;
  add(0, 105);
  for (int i = 1; i < 17; ++i) add(i, 1000 + i);
  EXPECT_EQ(decide_at(0).rows, 16);
  EXPECT_THAT(decision_.refused, IsEmpty());
  EXPECT_NE(ids().front(), 0);
}

TEST_F(SchedulerTest, AimdGrowsByOneAndShrinksByATenth) {
  options_.policy = Policy::kAimd;
  options_.latency_target_us = 150;
  PolicyState state;
  view_.state = &state;
  for (int i = 0; i < 16; ++i) add(i);
  EXPECT_EQ(decide_at(20).rows, 1);
  for (int i = 1; i <= 5; ++i) {
    note_batch(state, {i, i, 90.0 + 10 * i, 0}, options_);
    EXPECT_EQ(decide_at(20).rows, i + 1);
  }
  note_batch(state, {7, 7, 160, 0}, options_);
  EXPECT_EQ(decide_at(20).rows, 5);  // 6 less a tenth
}

TEST_F(SchedulerTest, AdaptiveLearnsTheLineAndTakesTheNewest) {
  options_.policy = Policy::kAdaptive;
  options_.max_batch_rows = 2;
  PolicyState state;
  for (int i = 1; i <= 8; ++i) note_batch(state, {i, i, 90.0 + 10 * i, 1.0, i * 6e6}, options_);
  EXPECT_NEAR(state.us_a_request, 10, 1e-3);
  EXPECT_NEAR(state.us_a_batch, 90, 1e-2);
  EXPECT_NEAR(state.wait_us, 1, 1e-6);
  view_.state = &state;
  for (int i = 0; i < 3; ++i) add(i);
  decide_at(5);
  EXPECT_THAT(ids(), ElementsAre(2, 1));
}

// numpy.linalg.lstsq([[2, 1]] * 4, [100] * 4) is [40, 20].
TEST_F(SchedulerTest, AdaptiveTakesTheLineOfLeastNormThroughOnePoint) {
  options_.policy = Policy::kAdaptive;
  PolicyState state;
  for (int i = 1; i <= 4; ++i) note_batch(state, {2, 2, 100, 3.0, i * 6e6}, options_);
  EXPECT_NEAR(state.us_a_request, 40, 1e-4);
  EXPECT_NEAR(state.us_a_batch, 20, 1e-4);
}

TEST_F(SchedulerTest, AdaptiveLearnsAgainEveryFiveSeconds) {
  options_.policy = Policy::kAdaptive;
  PolicyState state;
  for (int i = 1; i <= 3; ++i) note_batch(state, {1, 1, 100, 1.0, i * 1e3}, options_);
  EXPECT_NEAR(state.us_a_request, 50, 1e-4);
  note_batch(state, {2, 2, 300, 9.0, 4e6}, options_);
  EXPECT_NEAR(state.us_a_request, 50, 1e-4);
  note_batch(state, {2, 2, 300, 9.0, 6e6}, options_);
  EXPECT_NEAR(state.us_a_request, 200, 1e-3);
  EXPECT_NEAR(state.wait_us, (3 * 1 + 2 * 9) / 5.0, 1e-6);
}

TEST_F(SchedulerTest, RefusesSettingsThatMakeNoSense) {
  EXPECT_EQ(parse_policy("delay", "--policy"), Policy::kDelay);
  EXPECT_THROW(parse_policy("soon", "--policy"), Error);
  SchedulerOptions options;
  EXPECT_NO_THROW(check_scheduler_options(options));
  options.max_batch_rows = 0;
  EXPECT_THROW(check_scheduler_options(options), Error);
  options = {};
  options.queue_timeout_us = 0;
  EXPECT_THROW(check_scheduler_options(options), Error);
}

}  // namespace
}  // namespace batchwise

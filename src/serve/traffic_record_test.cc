// SPDX-License-Identifier: Apache-2.0
#include "serve/traffic_record.h"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "batching/arrivals.h"
#include "serve/serving_test.h"

namespace batchwise::serve {
namespace {

// What the simulator reads of it.
TEST_F(ServingTest, ARecordHasWhatCameAndWhatRan) {
  ServerOptions options = test_options();
  options.record = folder_ / "record.csv";
  start(options);
  std::vector<std::shared_ptr<TestRequest>> sent;
  for (std::int64_t rows = 1; rows <= 5; ++rows) {
    sent.push_back(make(rows, 1));
    sent.back()->timeout_us = 30e6;
    sent.back()->client = 7;
    sent.back()->priority = 3;
    server_->infer(sent.back());
    ASSERT_EQ(sent.back()->wait(), Status::kOk);
  }
  server_->drain();
  const std::vector<Arrival> arrivals = read_arrivals(options.record, {}, 1);
  ASSERT_EQ(arrivals.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(arrivals[i].rows, static_cast<std::int32_t>(i + 1));
    EXPECT_EQ(arrivals[i].timeout_us, 30e6);
    EXPECT_EQ(arrivals[i].client, 7);
    EXPECT_EQ(arrivals[i].priority, 2);
    EXPECT_GE(arrivals[i].at_us, i == 0 ? 0 : arrivals[i - 1].at_us);
  }
  std::ifstream file(options.record);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_THAT(text.str(), testing::HasSubstr("#model,0,m,1\n"));
  int batches = 0;
  for (std::string line; std::getline(text, line);) batches += line.starts_with("#batch,") ? 1 : 0;
  EXPECT_EQ(batches, 5);
}

TEST(TrafficRecord, SaysWhereItCannotWrite) {
  try {
    TrafficRecord record("/nowhere/record.csv", 0);
    FAIL() << "it can";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kEnvironment);
  }
}

}  // namespace
}  // namespace batchwise::serve

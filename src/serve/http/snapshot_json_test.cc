// SPDX-License-Identifier: Apache-2.0
#include "serve/http/snapshot_json.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

namespace batchwise::serve {
namespace {

using nlohmann::json;

ServerSnapshot make_snapshot() {
  ServerSnapshot snapshot;
  snapshot.now_us = 12.5e6;
  snapshot.up_s = 3.25;
  snapshot.policy = "deadline";
  snapshot.memory_limit_bytes = std::int64_t{1} << 40;
  ModelStatistics model;
  model.name = "a\"b\\c\n\xFF<img>";
  model.version = "3";
  model.success = {7, 1234.5};
  model.failures[static_cast<std::size_t>(Failure::kExpired)] = 4;
  model.batches[8].compute_infer = {5, 600};
  model.batches[1].compute_infer = {2, 100};
  for (double us : {0.25, 100.0, 101.0, 5e5, 1e15}) model.request_us.add(us);
  snapshot.models.push_back(model);
  snapshot.decisions.push_back({1e6, "m", 3, 7, 8, 120, 0, "ran 7: waiting"});
  return snapshot;
}

TEST(SnapshotJson, HasWhatTheSnapshotHas) {
  const json parsed = json::parse(
      snapshot_json(make_snapshot(), true, {{"m", "2", ModelState::kUnavailable, "no file"}}));
  EXPECT_EQ(parsed["now_us"], 12.5e6);
  EXPECT_EQ(parsed["ready"], true);
  EXPECT_EQ(parsed["memory_limit_bytes"], std::int64_t{1} << 40);
  EXPECT_EQ(parsed["repository"], json::parse(R"([{"name":"m","version":"2",
            "state":"UNAVAILABLE","reason":"no file"}])"));
  const json& model = parsed["models"].at(0);
  EXPECT_EQ(model["name"], "a\"b\\c\n\xEF\xBF\xBD<img>");
  EXPECT_EQ(model["success"], json::parse(R"({"count":7,"us":1234.5})"));
  EXPECT_EQ(model["failures"]["EXPIRED"], 4);
  EXPECT_EQ(model["failures"].size(), std::size_t{kFailures});
  EXPECT_EQ(model["batches"], json::parse(R"([{"rows":1,"count":2,"us":100},
                                              {"rows":8,"count":5,"us":600}])"));
  EXPECT_EQ(parsed["decisions"][0]["why"], "ran 7: waiting");
  EXPECT_EQ(parsed["decisions"][0]["took_us"], 0);
}

TEST(SnapshotJson, BucketsHoldEachValueBetweenTheirEdges) {
  const json parsed = json::parse(snapshot_json(make_snapshot(), true, {}));
  const json& histogram = parsed["models"][0]["request_us"];
  EXPECT_EQ(histogram["count"], 5);
  const json& buckets = histogram["buckets"];
  ASSERT_EQ(buckets.size(), 4U);
  // 0.25 in the first; 100 and 101 in one; 500,000; what is too large in the last.
  EXPECT_EQ(buckets[0][1], 1);
  EXPECT_EQ(buckets[1], json::parse("[104, 2]"));
  EXPECT_EQ(buckets[2][1], 1);
  EXPECT_GT(buckets[2][0], 5e5);
  EXPECT_LE(buckets[2][0], 5e5 * 9 / 8);
  EXPECT_EQ(buckets[3][1], 1);
  EXPECT_TRUE(parsed["models"][0]["queue_us"]["buckets"].empty());
}

TEST(SnapshotJson, WhatIsNotFiniteIsNull) {
  ServerSnapshot snapshot;
  snapshot.now_us = std::numeric_limits<double>::infinity();
  snapshot.up_s = std::numeric_limits<double>::quiet_NaN();
  const json parsed = json::parse(snapshot_json(snapshot, false, {}));
  EXPECT_TRUE(parsed["now_us"].is_null());
  EXPECT_TRUE(parsed["up_s"].is_null());
  EXPECT_EQ(parsed["ready"], false);
  EXPECT_EQ(parsed["models"], json::array());
}

}  // namespace
}  // namespace batchwise::serve

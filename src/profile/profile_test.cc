// SPDX-License-Identifier: Apache-2.0
#include "profile/profile.h"

#include <gtest/gtest.h>

#include "batchwise/error.h"

namespace batchwise {
namespace {

TEST(Profile, ReadsWhatStudyWrites) {
  const CostCurve curve = parse_profile(R"({"model": {}, "measurements": [
      {"batch_size": 1, "median_us": 20, "low_us": 19, "high_us": 22, "peak_bytes": 1000,
       "automatic": false},
      {"batch_size": 8, "median_us": 60, "low_us": 59, "high_us": 63, "peak_bytes": 8000},
      {"batch_size": 8, "median_us": 61, "low_us": 59, "high_us": 63, "automatic": true}]})",
                                        "study.json");
  ASSERT_EQ(curve.points().size(), 2U);
  EXPECT_EQ(curve.us(8), 60);
  EXPECT_EQ(curve.low_us(1), 19);
  EXPECT_EQ(curve.safe_us(1), 22);
  EXPECT_EQ(curve.bytes(8), 8000);
}

TEST(Profile, AListWithTimesAloneIsEnough) {
  const CostCurve curve =
      parse_profile(R"([{"batch_size": 1, "median_us": 20}, {"batch_size": 2, "median_us": 25,
                        "bytes": 7}])",
                    "p.json");
  EXPECT_EQ(curve.safe_us(2), 25);
  EXPECT_EQ(curve.bytes(2), 7);
}

TEST(Profile, RefusesWhatItCannotUse) {
  for (const char* text :
       {"", "nothing", "{}", "[]", "3", "null", "[3]", R"({"measurements": 4})",
        R"([{"batch_size": 1}])", R"([{"batch_size": "one", "median_us": 2}])",
        R"([{"batch_size": 1, "median_us": -2}])", R"([{"batch_size": 0, "median_us": 2}])",
        R"([{"batch_size": 99999999999, "median_us": 2}])",
        R"([{"batch_size": 1, "median_us": 2, "bytes": 1e300}])",
        R"([{"batch_size": 1, "median_us": 2, "automatic": "yes"}])",
        R"([{"batch_size": 1, "median_us": 2, "low_us": 3}])"}) {
    try {
      parse_profile(text, "p.json");
      ADD_FAILURE() << "accepted: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidInput) << text;
      EXPECT_NE(std::string(error.what()).find("p.json"), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(read_profile("there/is/none.json"), Error);
}

}  // namespace
}  // namespace batchwise

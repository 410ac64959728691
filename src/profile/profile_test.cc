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

constexpr const char* kStudy = R"({"machine": {"key": "m"}, "measurements": [], "models": [
    {"model": {"name": "mlp", "sha256": "aa"},
     "measurements": [{"batch_size": 1, "median_us": 20}],
     "serve": {"instances": 2, "threads": 3, "max_batch": 4, "p99_us": 5000, "measurements": [
        {"batch_size": 1, "median_us": 30, "low_us": 29, "high_us": 31, "bytes": 7},
        {"batch_size": 8, "median_us": 90}]}},
    {"model": {"name": "cnn", "sha256": "bb"},
     "measurements": [{"batch_size": 2, "median_us": 70}], "serve": null},
    {"model": {"name": "big", "sha256": "cc"}, "measurements": [],
     "serve": {"instances": 1, "threads": 1, "max_batch": 1, "p99_us": 1,
               "measurements": [{"batch_size": 1, "median_us": 1}]}},
    {"model": {"name": "slow", "sha256": "dd"},
     "measurements": [{"batch_size": 1, "median_us": 9}], "serve": {"p99_us": 1}}]})";

TEST(ModelProfile, HasTheLayoutAndItsCurve) {
  const std::vector<ModelProfile> profiles = parse_model_profiles(kStudy, "study.json");
  ASSERT_EQ(profiles.size(), 4U);
  const ModelProfile* mlp = find_model_profile(profiles, "other", "aa");
  ASSERT_NE(mlp, nullptr);
  EXPECT_EQ(mlp->machine_key, "m");
  EXPECT_EQ(mlp->curve->us(1), 20);
  ASSERT_TRUE(mlp->serving);
  EXPECT_EQ(mlp->serving->instances, 2);
  EXPECT_EQ(mlp->serving->threads, 3);
  EXPECT_EQ(mlp->serving->max_batch, 4);
  EXPECT_EQ(mlp->serving->p99_us, 5000);
  EXPECT_EQ(mlp->serving->curve.us(8), 90);
  EXPECT_EQ(mlp->serving->curve.bytes(1), 7);
}

TEST(ModelProfile, IsFoundByContentThenByName) {
  const std::vector<ModelProfile> profiles = parse_model_profiles(kStudy, "study.json");
  EXPECT_EQ(find_model_profile(profiles, "cnn", "zz")->model, "cnn");
  EXPECT_FALSE(find_model_profile(profiles, "cnn", "zz")->serving);
  EXPECT_EQ(find_model_profile(profiles, "cnn", "aa")->model, "mlp");
  EXPECT_FALSE(find_model_profile(profiles, "big", "")->curve);
  EXPECT_FALSE(find_model_profile(profiles, "slow", "")->serving);
  EXPECT_EQ(find_model_profile(profiles, "none", "zz"), nullptr);
  const auto plain = parse_model_profiles(R"([{"batch_size": 1, "median_us": 20}])", "p.json");
  EXPECT_EQ(find_model_profile(plain, "anything", "zz"), &plain[0]);
}

TEST(ModelProfile, RefusesALayoutThatIsNone) {
  for (const char* serve :
       {R"({"instances": 0, "threads": 1, "max_batch": 1, "p99_us": 1})",
        R"({"instances": 1.5, "threads": 1, "max_batch": 1, "p99_us": 1})",
        R"({"instances": 1, "threads": 1e9, "max_batch": 1, "p99_us": 1})",
        R"({"instances": 1, "threads": 1, "max_batch": 2, "p99_us": 1})",
        R"({"instances": 1, "threads": 1, "max_batch": 1, "p99_us": 0})",
        R"({"threads": 1, "max_batch": 1, "p99_us": 1})", R"({"instances": "two"})"}) {
    std::string text = serve;
    text.pop_back();
    text += R"(, "measurements": [{"batch_size": 1, "median_us": 20}]})";
    text = R"({"measurements": [{"batch_size": 1, "median_us": 20}], "serve": )" + text + "}";
    EXPECT_THROW(parse_model_profiles(text, "p.json"), Error) << text;
  }
}

}  // namespace
}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "study/store.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "batchwise/error.h"

namespace batchwise {
namespace {

namespace fs = std::filesystem;

class StudyStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "batchwise_study_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path() const { return folder_ + "/study.sqlite"; }

  static FinishedExperiment experiment(const std::string& key) {
    FitRun run{8, 3, 0.01, {}};
    run.points.resize(2);
    run.points[1].loss = 0.25;
    return {
        key,
        "predict",
        "mlp",
        "{\"x\":1}",
        1.5,
        {{"time a call", 0, 12.5, "us"}, {"time a call", 1, 11.5, "us"}, {"peak", 0, 4096, "bytes"}},
        {run},
        {{0, 12.5, 3}, {0, 13, 1}, {1, 12.5, 2}}};
  }
  template <typename Function>
  static ErrorCode code_of(Function function) {
    try {
      function();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  }

  std::string folder_;
};

TEST_F(StudyStoreTest, KeepsFinishedExperimentsForTheNextRun) {
  {
    StudyStore store = StudyStore::open(path(), false);
    EXPECT_FALSE(store.has("a"));
    store.save(experiment("a"));
    EXPECT_TRUE(store.has("a"));
    store.set_fact("machine", "m");
  }
  StudyStore store = StudyStore::open(path(), true);
  EXPECT_EQ(store.load("a"), "{\"x\":1}");
  EXPECT_FALSE(store.load("b"));
  EXPECT_EQ(store.fact("machine"), "m");
  EXPECT_EQ(store.values("a", "time a call"), (std::vector<double>{12.5, 11.5}));
  EXPECT_EQ(store.num_measurements(), 3);
  EXPECT_EQ(store.num_curve_points(), 2);
  EXPECT_EQ(store.num_latencies(), 6);
  EXPECT_EQ(store.seconds_spent(), 1.5);
}

TEST_F(StudyStoreTest, AnExperimentDoneAgainReplacesTheOldOne) {
  StudyStore store = StudyStore::open(path(), false);
  store.save(experiment("a"));
  FinishedExperiment again = experiment("a");
  again.outcome = "2";
  again.measurements.resize(1);
  again.latencies.resize(1);
  store.save(again);
  EXPECT_EQ(store.load("a"), "2");
  EXPECT_EQ(store.num_measurements(), 1);
  EXPECT_EQ(store.num_latencies(), 3);
  EXPECT_EQ(store.num_curve_points(), 2);
}

TEST_F(StudyStoreTest, AnExperimentIsWrittenWholeOrNotAtAll) {
  StudyStore store = StudyStore::open(path(), false);
  FinishedExperiment twice = experiment("a");
  twice.measurements.push_back(twice.measurements[0]);  // the same repeat again: refused
  EXPECT_EQ(code_of([&] { store.save(twice); }), ErrorCode::kEnvironment);
  EXPECT_FALSE(store.has("a"));
  EXPECT_EQ(store.num_measurements(), 0);
  store.save(experiment("a"));
  EXPECT_EQ(store.num_measurements(), 3);
}

TEST_F(StudyStoreTest, WithoutResumeItStartsAnew) {
  StudyStore::open(path(), false).save(experiment("a"));
  EXPECT_FALSE(StudyStore::open(path(), false).has("a"));
}

TEST_F(StudyStoreTest, RefusesToMixStudies) {
  StudyStore store = StudyStore::open(path(), false);
  store.require_fact("model", "sha 1");
  store.require_fact("model", "sha 1");
  EXPECT_EQ(code_of([&] { store.require_fact("model", "sha 2"); }), ErrorCode::kInvalidInput);
  // A second study of the same file, while this one runs.
  EXPECT_EQ(code_of([&] { StudyStore::open(path(), true); }), ErrorCode::kEnvironment);
}

TEST_F(StudyStoreTest, RefusesWhatIsNotAStudy) {
  std::ofstream(path()) << std::string(4096, 'x');
  EXPECT_EQ(code_of([&] { StudyStore::open(path(), true); }), ErrorCode::kInvalidInput);
  EXPECT_EQ(code_of([&] { StudyStore::open(folder_ + "/no/such/folder", false); }),
            ErrorCode::kEnvironment);
}

TEST_F(StudyStoreTest, TextIsStoredAsItStands) {
  StudyStore store = StudyStore::open(path(), false);
  const std::string evil = "'; DROP TABLE experiment; -- \xE2\x80\xA8";
  FinishedExperiment strange = experiment(evil);
  strange.outcome = evil;
  store.save(strange);
  EXPECT_EQ(store.load(evil), evil);
}

}  // namespace
}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "study/study.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "architectures/architecture.h"
#include "base/atomic_file.h"
#include "onnx_io/onnx_io.h"
#include "profile/profile.h"
#include "study/store.h"

namespace batchwise {
namespace {

using testing::HasSubstr;

// Two classes that a line divides, and a small model for them, in a folder of the test's own.
class StudyTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "study_test." + std::to_string(getpid());
    std::filesystem::create_directories(folder_);
    std::ofstream csv(folder_ + "/data.csv");
    for (int i = 0; i < 120; ++i) {
      const int a = i * 37 % 17, b = i * 53 % 19;
      csv << a << "," << b << "," << (a + b) % 5 << "," << (i % 7) << "," << (a > b ? 1 : 0)
          << "\n";
    }
    csv.close();
    write_model("mlp.onnx", {4});
    options_.models = {folder_ + "/mlp.onnx"};
    options_.data = parse_data_spec(folder_ + "/data.csv");
    options_.output = folder_ + "/report";
    options_.predict_batch_sizes = {1, 4};
    options_.fit_batch_sizes = {2, 8};
    options_.seeds = 1;
    options_.epochs = 2;
    options_.budget_seconds = 6;
    options_.resources.threads = 1;
    options_.command = "batchwise study mlp.onnx --data data.csv -o report";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write_model(const std::string& name, std::vector<std::int64_t> input) const {
    ArchitectureOptions architecture;
    architecture.input = std::move(input);
    architecture.classes = 2;
    architecture.hidden = {8};
    onnx_io::write_onnx(make_architecture("mlp", architecture), folder_ + "/" + name);
  }
  std::string read(const std::string& name) const {
    std::ifstream file(options_.output + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::int64_t num_latencies() const {
    return StudyStore::open(options_.output + "/study.sqlite", true).num_latencies();
  }
  std::int64_t num_measurements() const {
    return StudyStore::open(options_.output + "/study.sqlite", true).num_measurements();
  }
  // The folder byte for byte.
  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      all[entry.path()] = {std::istreambuf_iterator<char>(file), {}};
    }
    return all;
  }

  std::string folder_;
  StudyOptions options_;
};

TEST_F(StudyTest, EveryChapterHasValuesThatAgree) {
  const StudyResult result = run_study(options_);
  ASSERT_EQ(result.models.size(), 1u);
  const ModelStudy& study = result.models[0];
  EXPECT_EQ(study.model.parameters, 4 * 8 + 8 + 8 * 2 + 2);
  EXPECT_EQ(result.data.train_samples, 96);
  EXPECT_EQ(result.data.validation_samples, 24);

  ASSERT_TRUE(study.memory);
  ASSERT_EQ(study.memory->rows.size(), 4u);
  for (const MemoryRow& row : study.memory->rows) EXPECT_EQ(row.peak_bytes, row.parts.total());
  EXPECT_GT(study.memory->rows[1].peak_bytes, study.memory->rows[0].peak_bytes);
  EXPECT_GE(study.memory->rows[2].parts.gradient_bytes, 4 * study.model.parameters);

  ASSERT_TRUE(study.predict);
  ASSERT_EQ(study.predict->rows.size(), 2u);
  EXPECT_TRUE(study.predict->automatic);
  EXPECT_EQ(study.predict->rows[1].peak_bytes, study.memory->rows[1].peak_bytes);

  ASSERT_TRUE(study.fit);
  ASSERT_EQ(study.fit->runs.size(), 2u);
  for (const FitRun& run : study.fit->runs) {
    EXPECT_EQ(run.points.back().samples_seen, 2 * 96);
    EXPECT_EQ(run.points.back().steps, 2 * 96 / run.batch_size);
    ASSERT_TRUE(run.points.back().val_accuracy);
    const double correct = *run.points.back().val_accuracy * 24;  // whole samples
    EXPECT_NEAR(correct, std::round(correct), 1e-9);
  }
  EXPECT_DOUBLE_EQ(study.fit->runs[1].learning_rate, 0.01 * std::sqrt(8.0 / 32));

  ASSERT_TRUE(study.accuracy);
  EXPECT_TRUE(study.accuracy->trained_weights);
  ASSERT_EQ(study.accuracy->rows.size(), 2u);  // batch 2 and 10 of 24 samples
  for (const AccuracyRow& row : study.accuracy->rows) {
    EXPECT_EQ(row.samples, 24);
    EXPECT_EQ(row.differing_values, 0);
    EXPECT_EQ(row.max_ulp, 0);
  }
  EXPECT_TRUE(study.for_predict.batch_size);
  EXPECT_TRUE(study.for_fit.batch_size);
  EXPECT_THAT(study.for_fit.command, HasSubstr("--batch-size"));

  ASSERT_TRUE(study.serve);
  ASSERT_EQ(study.serve->layouts.size(), 1u);  // of one thread
  EXPECT_EQ(study.serve->layout().rows.size(), 2u);
  ASSERT_TRUE(study.serve->has_answer());
  EXPECT_EQ(study.serve->curves.size(), 3u);
  EXPECT_EQ(study.serve->runs.size(), 9u);
  for (const ServeRun& run : study.serve->runs) {
    EXPECT_GE(run.requests, 100);
    EXPECT_GE(run.measured.mean_batch, 1);
    EXPECT_GT(run.simulated.p99_us, 0);
  }
  EXPECT_TRUE(study.for_serve.batch_size);
  EXPECT_EQ(study.for_serve.instances, 1);
  EXPECT_THAT(study.for_serve.command, HasSubstr("study.json"));
  EXPECT_THAT(read("report.html"), HasSubstr("</html>"));
  const auto json = nlohmann::json::parse(read("study.json"));
  EXPECT_EQ(json.at("recommendation").at("predict").at("batch_size"),
            *study.for_predict.batch_size);
  EXPECT_EQ(json.at("recommendation").at("serve").at("batch_size"), *study.for_serve.batch_size);
  EXPECT_EQ(json.at("recommendation").at("serve").at("instances"), 1);

  // What `serve` reads is what was chosen.
  const auto profiles = read_model_profiles(options_.output + "/study.json");
  const ModelProfile* profile = find_model_profile(profiles, "mlp", study.model.sha256);
  ASSERT_TRUE(profile != nullptr && profile->serving);
  EXPECT_EQ(profile->machine_key, result.machine.key());
  EXPECT_EQ(profile->serving->max_batch, study.for_serve.batch_size);
  EXPECT_EQ(profile->serving->curve.us(4), study.serve->layout().rows[1].us.median);
}

TEST_F(StudyTest, ALimitThatNothingKeepsHasNoAnswer) {
  options_.for_predict = options_.for_fit = false;
  options_.p99_us = 0.01;
  const StudyResult result = run_study(options_);
  EXPECT_FALSE(result.models[0].for_serve.batch_size);
  EXPECT_THAT(result.models[0].for_serve.absent_reason, HasSubstr("limit"));
  EXPECT_FALSE(result.models[0].serve->has_answer());
  const auto json = nlohmann::json::parse(read("study.json"));
  EXPECT_TRUE(json.at("recommendation").at("serve").is_null());
  EXPECT_FALSE(read_model_profiles(options_.output + "/study.json")[0].serving);
}

TEST_F(StudyTest, ServeAloneIsAStudy) {
  options_.for_predict = options_.for_fit = false;
  options_.resources.threads = 2;
  const StudyResult result = run_study(options_);
  const ModelStudy& study = result.models[0];
  EXPECT_FALSE(study.predict || study.fit);
  ASSERT_TRUE(study.serve);
  ASSERT_EQ(study.serve->layouts.size(), 2u);
  EXPECT_EQ(study.serve->layouts[1].instances, 2);
  EXPECT_EQ(study.for_serve.threads, *study.for_serve.instances == 2 ? 1 : 2);
  bool other_layout = false;
  for (const Neighbour& neighbour : study.for_serve.neighbours) {
    other_layout |= neighbour.instances != study.for_serve.instances;
  }
  EXPECT_TRUE(other_layout);
}

TEST_F(StudyTest, TheSameSeedEndsWithTheSameMetric) {
  options_.for_predict = false;
  const StudyResult first = run_study(options_);
  const StudyResult second = run_study(options_);
  for (std::size_t i = 0; i < 2; ++i) {
    const FitPoint& a = first.models[0].fit->runs[i].points.back();
    const FitPoint& b = second.models[0].fit->runs[i].points.back();
    EXPECT_EQ(a.val_loss, b.val_loss);
    EXPECT_EQ(a.loss, b.loss);
  }
  EXPECT_FALSE(first.models[0].predict);
  EXPECT_FALSE(first.models[0].for_predict.absent_reason.empty());
}

TEST_F(StudyTest, ResumeRunsNothingAgain) {
  const StudyResult first = run_study(options_);
  const std::int64_t measured = num_measurements();
  EXPECT_GT(measured, 20);
  const std::int64_t latencies = num_latencies();
  EXPECT_GE(latencies, 9 * 100);
  options_.resume = true;
  const StudyResult second = run_study(options_);
  EXPECT_EQ(num_measurements(), measured);
  EXPECT_EQ(num_latencies(), latencies);
  EXPECT_EQ(first.models[0].serve->layout().answer.at.rate_per_s,
            second.models[0].serve->layout().answer.at.rate_per_s);
  EXPECT_EQ(first.models[0].predict->rows[1].us.median,
            second.models[0].predict->rows[1].us.median);
  EXPECT_EQ(first.models[0].fit->runs[0].points.back().seconds,
            second.models[0].fit->runs[0].points.back().seconds);
  EXPECT_TRUE(second.models[0].accuracy->trained_weights);
}

TEST_F(StudyTest, AnInterruptedStudyGoesOn) {
  int left = 40;
  options_.should_stop = [&left] { return --left < 0; };
  try {
    run_study(options_);
    FAIL() << "was not interrupted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInterrupted);
  }
  EXPECT_FALSE(std::filesystem::exists(options_.output + "/report.html"));
  options_.should_stop = nullptr;
  options_.resume = true;
  EXPECT_EQ(run_study(options_).models[0].fit->runs.size(), 2u);
}

TEST_F(StudyTest, DataThatChangedIsNotResumed) {
  options_.for_fit = false;
  run_study(options_);
  std::ofstream(folder_ + "/data.csv", std::ios::app) << "1,2,3,4,0\n";
  options_.resume = true;
  EXPECT_THROW(run_study(options_), Error);
}

TEST_F(StudyTest, BadInputLeavesTheFolderUntouched) {
  write_model("wide.onnx", {5});
  std::ofstream(folder_ + "/no.onnx") << "this is no model";
  std::filesystem::create_directories(options_.output);
  std::ofstream(options_.output + "/study.sqlite") << "something of the user's";
  const auto before = contents();
  const auto refuses = [&](const StudyOptions& options, const std::string& part) {
    try {
      run_study(options);
      ADD_FAILURE() << "took what says " << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidInput) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(part));
    }
    EXPECT_EQ(contents(), before) << part;
  };
  StudyOptions bad = options_;
  bad.models = {};
  refuses(bad, "no model");
  bad = options_;
  bad.models.push_back(folder_ + "/no.onnx");
  refuses(bad, "no.onnx");
  bad.models.back() = folder_ + "/wide.onnx";
  refuses(bad, "4 values");
  refuses(bad, "wide.onnx");  // which of the two
  bad = options_;
  bad.data.path = folder_ + "/none.csv";
  refuses(bad, "none.csv");
  bad = options_;
  bad.predict_batch_sizes = {0};
  refuses(bad, "--batch-size");
  bad = options_;
  bad.fit.learning_rate = -1;
  refuses(bad, "--lr");
  bad = options_;
  bad.p99_us = 0;
  refuses(bad, "--p99");
  bad = options_;
  bad.seeds = 0;
  refuses(bad, "--seeds");
  bad = options_;
  bad.output = folder_ + "/data.csv";
  refuses(bad, "is no folder");
}

TEST_F(StudyTest, AFullDiskLeavesTheFolderAsItWas) {
  const auto full = [](std::string_view path, std::size_t) {
    return path.ends_with("report.html") ? ENOSPC : 0;
  };
  options_.for_fit = false;
  const auto fails = [&] {
    const auto before = contents();
    inject_write_fault(full);
    try {
      run_study(options_);
      ADD_FAILURE() << "wrote to a full disk";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kEnvironment) << error.what();
    }
    inject_write_fault(nullptr);
    EXPECT_EQ(contents(), before);
  };
  options_.output = folder_ + "/new/report";
  fails();
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/new"));
  run_study(options_);
  fails();
  EXPECT_GT(num_measurements(), 0);
}

TEST_F(StudyTest, AnInterruptedStudyInPlaceOfAnotherCanBeResumed) {
  options_.for_fit = false;
  run_study(options_);
  const std::int64_t measured = num_measurements();
  int left = 12;
  options_.should_stop = [&left] { return --left < 0; };
  EXPECT_THROW(run_study(options_), Error);
  EXPECT_LT(num_measurements(), measured);
  options_.should_stop = nullptr;
  options_.resume = true;
  run_study(options_);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(options_.output)) {
    names.push_back(entry.path().filename());
  }
  EXPECT_THAT(names, testing::UnorderedElementsAre("report.html", "study.json", "study.sqlite"));
}

TEST_F(StudyTest, DataWithoutLabelsHasNoFit) {
  std::ofstream csv(folder_ + "/features.csv");
  for (int i = 0; i < 40; ++i) csv << i << ",1,2,3\n";
  csv.close();
  options_.data = parse_data_spec(folder_ + "/features.csv");
  options_.data.label = "none";
  const StudyResult result = run_study(options_);
  EXPECT_FALSE(result.models[0].fit);
  EXPECT_THAT(result.models[0].for_fit.absent_reason, HasSubstr("no labels"));
  ASSERT_TRUE(result.models[0].accuracy);
  EXPECT_FALSE(result.models[0].accuracy->trained_weights);
}

}  // namespace
}  // namespace batchwise

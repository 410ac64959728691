// SPDX-License-Identifier: Apache-2.0
#include "study/study_result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "study/recommend.h"
#include "study/study_json.h"
#include "study/summary.h"

namespace batchwise {
namespace {

using testing::HasSubstr;

PredictRow predict_row(std::int64_t batch_size, double us) {
  PredictRow row;
  row.batch_size = row.micro_batch = batch_size;
  row.us = {us * 0.9, us, us * 1.25};
  row.p99_us = {us, us * 2, us * 3};
  row.repeats = 50;
  row.peak_bytes = 1000 * batch_size;
  return row;
}

PredictChapter predict_chapter() {
  PredictChapter chapter;
  // Samples a second: 10,000; 40,000; 100,000; 98,000.
  chapter.rows = {predict_row(1, 100), predict_row(8, 200), predict_row(32, 320),
                  predict_row(128, 128e6 / 98000)};
  return chapter;
}

FitRun fit_run(std::int64_t batch_size, std::uint64_t seed, double accuracy, double seconds) {
  FitPoint half, last;
  half.samples_seen = 500;
  half.val_accuracy = accuracy / 2;
  last.samples_seen = 1000;
  last.steps = 1000 / batch_size;
  last.seconds = seconds;
  last.loss = 0.1;
  last.val_accuracy = accuracy;
  return {batch_size, seed, 0.01, {half, last}};
}

TEST(PredictRow, RatesTurnTheIntervalOfTheTime) {
  const PredictRow row = predict_row(8, 200);
  EXPECT_DOUBLE_EQ(row.samples_per_s().median, 40000);
  EXPECT_DOUBLE_EQ(row.samples_per_s().low, 32000);
  EXPECT_DOUBLE_EQ(row.us_per_sample().median, 25);
  EXPECT_DOUBLE_EQ(row.us_per_sample().high, 31.25);
}

TEST(Recommendation, PredictIsTheKneeWithItsNeighbours) {
  const Recommendation answer = recommend_predict(predict_chapter());
  EXPECT_EQ(answer.batch_size, 32);
  ASSERT_EQ(answer.neighbours.size(), 2u);
  EXPECT_EQ(answer.neighbours[0].batch_size, 8);
  EXPECT_THAT(answer.neighbours[0].what, HasSubstr("40 % of the throughput"));
  EXPECT_EQ(answer.neighbours[1].batch_size, 128);
  EXPECT_THAT(answer.neighbours[1].what, HasSubstr("4.08x the time"));
  EXPECT_THAT(answer.why, HasSubstr("100,000"));
}

TEST(Recommendation, FitIsTheLeastTimeAmongTheGoodOnes) {
  FitChapter chapter;
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    const double drift = 0.001 * static_cast<double>(seed);
    chapter.runs.push_back(fit_run(1, seed, 0.970 + drift, 9));
    chapter.runs.push_back(fit_run(32, seed, 0.971 - drift, 3));
    chapter.runs.push_back(fit_run(128, seed, 0.800 + drift, 1));  // fast and bad
  }
  chapter.rows = summarize_fit_runs(chapter.runs, true);
  ASSERT_EQ(chapter.rows.size(), 3u);
  EXPECT_EQ(chapter.rows[0].batch_size, 1);
  EXPECT_EQ(chapter.rows[0].seeds, 3);
  EXPECT_NEAR(chapter.rows[0].final_metric.median, 0.971, 1e-12);
  EXPECT_NEAR(chapter.rows[1].samples_per_s.median, 1000.0 / 3, 1e-9);
  EXPECT_TRUE(chapter.rows[0].good_enough && chapter.rows[1].good_enough);
  EXPECT_FALSE(chapter.rows[2].good_enough);
  const Recommendation answer = recommend_fit(chapter);
  EXPECT_EQ(answer.batch_size, 32);
  ASSERT_EQ(answer.neighbours.size(), 2u);
  EXPECT_THAT(answer.neighbours[0].what, HasSubstr("3.00x the time"));
  EXPECT_THAT(answer.neighbours[1].what, HasSubstr("worse than the best"));
}

// What a model of nothing guesses is an accuracy too.
TEST(Recommendation, ALossThatIsNotFiniteIsADivergedRun) {
  FitChapter chapter;
  for (std::int64_t batch_size : {1, 8}) {
    for (std::uint64_t seed : {0u, 1u}) {
      chapter.runs.push_back(fit_run(batch_size, seed, 0.1, 1));
      chapter.runs.back().points.back().loss = NAN;
    }
  }
  chapter.rows = summarize_fit_runs(chapter.runs, true);
  const Recommendation answer = recommend_fit(chapter);
  EXPECT_FALSE(answer.batch_size);
  EXPECT_THAT(answer.absent_reason, HasSubstr("diverged"));
}

TEST(Recommendation, ADivergedSizeIsNeverTheAnswer) {
  FitChapter chapter;
  chapter.runs = {fit_run(1, 0, NAN, 1), fit_run(1, 1, NAN, 1), fit_run(8, 0, 0.9, 5),
                  fit_run(8, 1, 0.91, 5)};
  chapter.rows = summarize_fit_runs(chapter.runs, true);
  EXPECT_EQ(recommend_fit(chapter).batch_size, 8);
  chapter.runs.resize(2);
  chapter.rows = summarize_fit_runs(chapter.runs, true);
  EXPECT_FALSE(recommend_fit(chapter).batch_size);
  EXPECT_FALSE(recommend_fit(chapter).absent_reason.empty());
}

TEST(Recommendation, AMetricOfErrorsIsBetterWhenSmaller) {
  FitChapter chapter;
  chapter.higher_is_better = false;
  chapter.runs = {fit_run(1, 0, 0.30, 1), fit_run(1, 1, 0.31, 1), fit_run(8, 0, 0.10, 5),
                  fit_run(8, 1, 0.11, 5)};
  chapter.rows = summarize_fit_runs(chapter.runs, false);
  EXPECT_EQ(recommend_fit(chapter).batch_size, 8);
}

StudyResult study() {
  StudyResult result;
  result.models.resize(2);
  ModelStudy& first = result.models[0];
  first.model.name = "mlp";
  first.predict = predict_chapter();
  first.predict->automatic = predict_row(512, 6000);
  first.predict->automatic->automatic = true;
  first.for_predict = recommend_predict(*first.predict);
  first.for_predict.command = "batchwise predict mlp.onnx";
  first.memory.emplace();
  first.memory->rows.emplace_back();
  first.memory->rows[0].parts.activation_bytes = 5;
  first.memory->rows[0].parts.code_bytes = 2;
  first.memory->rows[0].peak_bytes = first.memory->rows[0].parts.total();
  result.models[1].model.name = "cnn\x1b[2J";
  return result;
}

// The field names are CLI.md's, so they are written out here.
TEST(StudyJson, HasThePromisedFields) {
  const nlohmann::json json = study_json(study());
  for (const char* name :
       {"recommendation", "measurements", "machine", "model", "seconds_spent", "models"}) {
    EXPECT_TRUE(json.contains(name)) << name;
  }
  ASSERT_EQ(json["measurements"].size(), 5u);
  for (const char* name : {"batch_size", "median_us", "low_us", "high_us", "p99_us", "repeats",
                           "samples_per_s", "peak_bytes"}) {
    EXPECT_TRUE(json["measurements"][0].contains(name)) << name;
  }
  EXPECT_EQ(json["measurements"][1]["median_us"], 200);
  EXPECT_EQ(json["recommendation"]["predict"]["batch_size"], 32);
  EXPECT_EQ(json["recommendation"]["predict"]["neighbours"][0]["batch_size"], 8);
  EXPECT_TRUE(json["recommendation"]["serve"].is_null());
  EXPECT_TRUE(json["recommendation"]["fit"].is_null());
  EXPECT_EQ(json["models"].size(), 2u);
  EXPECT_EQ(json["models"][0]["memory"]["rows"][0]["peak_bytes"], 7);
  EXPECT_EQ(json["models"][0]["memory"]["rows"][0]["activation_bytes"], 5);
}

TEST(StudyJson, OutcomesComeBackFromTheirText) {
  const PredictRow row = predict_row(8, 123.25);
  const auto again = nlohmann::json::parse(nlohmann::json(row).dump()).get<PredictRow>();
  EXPECT_EQ(nlohmann::json(again), nlohmann::json(row));
  EXPECT_EQ(again.us.high, row.us.high);

  FitRun run = fit_run(32, 7, 0.97, 3);
  run.points[0].loss = NAN;  // diverged: no number
  const auto run_again = nlohmann::json::parse(nlohmann::json(run).dump()).get<FitRun>();
  EXPECT_EQ(run_again.seed, 7u);
  ASSERT_EQ(run_again.points.size(), 2u);
  EXPECT_FALSE(run_again.points[0].loss);
  EXPECT_EQ(run_again.points[1].val_accuracy, run.points[1].val_accuracy);
}

TEST(Summary, NamesAnswersNeighboursAndCommands) {
  const std::string text = render_summary(study());
  EXPECT_THAT(text, HasSubstr("predict     32  The smallest size"));
  EXPECT_THAT(text, HasSubstr("instead 8: 40 % of the throughput"));
  EXPECT_THAT(text, HasSubstr("$ batchwise predict mlp.onnx"));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace batchwise

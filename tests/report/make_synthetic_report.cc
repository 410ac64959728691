// SPDX-License-Identifier: Apache-2.0
// make_synthetic_report FILE.html [hostile]: a report of made-up values, for report_in_browser.py.
// `hostile` gives names that try to break out of HTML and JSON, and chapters that are missing.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iostream>
#include <random>
#include <string>

#include "study/recommend.h"
#include "study/report.h"
#include "study/summary.h"

namespace batchwise {
namespace {

constexpr std::int64_t kKiB = 1024;

MemoryChapter make_memory(std::int64_t weights_bytes) {
  MemoryChapter chapter;
  chapter.limit_bytes = 512 * kKiB * kKiB;
  chapter.limit_source = "machine";
  chapter.base_bytes = 24 * kKiB * kKiB;
  for (StudyUse use : {StudyUse::kPredict, StudyUse::kFit}) {
    for (std::int64_t batch = 1; batch <= 512; batch *= 2) {
      MemoryRow row;
      row.use = use;
      row.batch_size = batch;
      row.micro_batch = std::min<std::int64_t>(batch, 128);
      row.parts.packed_weights_bytes = weights_bytes;
      row.parts.activation_bytes = row.micro_batch * (use == StudyUse::kFit ? 60 : 24) * kKiB;
      row.parts.scratch_bytes = 96 * kKiB;
      row.parts.io_bytes = row.micro_batch * kKiB;
      row.parts.data_bytes = 300 * kKiB;
      if (use == StudyUse::kFit) {
        row.parts.weights_bytes = weights_bytes;
        row.parts.gradient_bytes = weights_bytes;
        row.parts.optimizer_bytes = weights_bytes;
      }
      row.peak_bytes = row.parts.total();
      chapter.rows.push_back(row);
    }
  }
  return chapter;
}

PredictRow make_predict_row(std::int64_t batch, double us, std::mt19937* random) {
  std::uniform_real_distribution<double> spread(0.01, 0.06);
  PredictRow row;
  row.batch_size = row.micro_batch = batch;
  row.us = {us * (1 - spread(*random)), us, us * (1 + spread(*random))};
  row.p99_us = {us * 1.1, us * (1.2 + spread(*random) * 8), us * 1.9, false};
  row.repeats = 200;
  row.peak_bytes = (600 + 25 * batch) * kKiB;
  return row;
}

PredictChapter make_predict(double overhead_us, double sample_us, std::mt19937* random) {
  PredictChapter chapter;
  chapter.threads = 2;
  for (std::int64_t batch = 1; batch <= 512; batch *= 2) {
    const double cache = batch > 128 ? 1.07 : 1.0;
    chapter.rows.push_back(make_predict_row(
        batch, overhead_us + sample_us * static_cast<double>(batch) * cache, random));
  }
  chapter.automatic = make_predict_row(512, overhead_us * 4 + sample_us * 512, random);
  chapter.automatic->micro_batch = 128;
  chapter.automatic->automatic = true;
  chapter.knee = recommend_predict(chapter).batch_size;
  return chapter;
}

FitChapter make_fit(double best, double fixed_s, double sample_s, std::mt19937* random) {
  FitChapter chapter;
  chapter.setting = "sgd, momentum 0.9, learning rate 0.01 at batch 32, scaled by the square root";
  std::normal_distribution<double> noise(0, 1);
  constexpr std::int64_t kSamples = 1437;
  for (std::int64_t batch : {1, 8, 32, 64}) {
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
      FitRun run{batch, seed, 0.01 * std::sqrt(static_cast<double>(batch) / 32), {}};
      const double rate = 0.9 / (1 + 0.02 * static_cast<double>(batch));
      for (int epoch = 1; epoch <= 10; ++epoch) {
        FitPoint point;
        point.samples_seen = epoch * kSamples;
        point.steps = epoch * ((kSamples + batch - 1) / batch);
        point.seconds = static_cast<double>(point.steps) *
                        (fixed_s + sample_s * static_cast<double>(batch)) *
                        (1 + 0.03 * std::abs(noise(*random)));
        const double gap = std::exp(-rate * epoch) + (batch == 1 ? 0.012 : 0.004);
        point.loss = 2.3 * gap * std::exp(0.08 * noise(*random));
        point.val_loss = 2.3 * gap + 0.05;
        point.val_accuracy =
            best - 0.6 * std::exp(-rate * epoch) - (batch == 1 ? 0.02 : 0) + 0.003 * noise(*random);
        run.points.push_back(point);
      }
      chapter.runs.push_back(run);
    }
    const auto size = static_cast<double>(batch);
    if (batch > 1) {
      chapter.noise.push_back({batch, std::min<std::int64_t>(batch, 8), 0.011 + 0.002 / size,
                               0.62 * std::exp(0.1 * noise(*random)), 54.0});
    }
  }
  chapter.rows = summarize_fit_runs(chapter.runs, true);
  for (FitRow& row : chapter.rows) row.peak_bytes = (900 + 60 * row.batch_size) * kKiB;
  return chapter;
}

ModelStudy make_model(const std::string& name, std::int64_t parameters, double us,
                      std::mt19937* random) {
  ModelStudy study;
  study.model = {name, name + ".onnx", parameters, {"x float32[N, 1, 8, 8]"}, {"logits"}, ""};
  study.memory = make_memory(parameters * 4);
  study.predict = make_predict(us, us / 12, random);
  study.accuracy.emplace();
  study.accuracy->trained_weights = true;
  for (std::int64_t batch : {2, 10, 32, 128, 512})
    study.accuracy->rows.push_back({batch, 360, 0, 0, 0, 0, 0});
  study.fit = make_fit(0.975, us * 2e-6, us * 0.3e-6, random);
  study.for_predict = recommend_predict(*study.predict);
  study.for_predict.command = "batchwise predict " + name +
                              ".onnx --data data/digits.csv.gz "
                              "--batch-size " +
                              std::to_string(*study.for_predict.batch_size) + " -o out.npy";
  study.for_serve.absent_reason = "This version does not serve yet, so there is no answer.";
  study.for_fit = recommend_fit(*study.fit);
  study.for_fit.command = "batchwise fit " + name +
                          ".onnx --data data/digits.csv.gz "
                          "--batch-size " +
                          std::to_string(*study.for_fit.batch_size) + " -o trained.onnx";
  return study;
}

StudyResult make_result(bool hostile) {
  std::mt19937 random(5);
  StudyResult result;
  result.machine.cpu_model = "Made-up CPU @ 2.80GHz";
  result.machine.cores = 2;
  result.machine.l2_bytes = 1024 * kKiB;
  result.machine.l3_bytes = 32 * 1024 * kKiB;
  result.machine.memory_bytes = 8 * kKiB * kKiB * kKiB;
  result.machine.isa = "avx2 avx512f fma";
  result.machine.kernel = "Linux 6.1.0";
  result.versions = {{"Batchwise", "0.1.0"}, {"g++", "12.2.0"}};
  result.data = {"digits.csv.gz", 1437, 360, 10, "UCI handwritten digits, CC BY 4.0"};
  result.started_at = "2026-11-21 10:00:00";
  result.seconds_spent = 143;
  result.command = "batchwise study mlp.onnx cnn.onnx --data data/digits.csv.gz -o report";
  result.models = {make_model("mlp", 34826, 14, &random), make_model("cnn", 170378, 92, &random)};
  // A limit that is near enough to be drawn.
  result.models[1].memory->limit_bytes = 36 * kKiB * kKiB;
  result.models[1].memory->limit_source = "--memory-limit";
  result.models[1].memory->largest_fit_batch_size = 512;
  if (!hostile) return result;
  const std::string evil =
      "</script><script>window.pwned=1</script><img src=x "
      "onerror='window.pwned=1'>\"&'\x01\xff\u2028";
  result.models[0].model.name = evil;
  result.models[0].model.inputs = {evil};
  result.models[0].fit->setting = evil;
  result.models[0].for_fit.command = evil;
  // Some samples differ here, some runs diverged, one seed only, nothing limits memory.
  result.models[0].accuracy->rows[2] = {32, 360, 17, 40, 3e-6, 9, 2};
  result.models[0].memory->limit_bytes.reset();
  result.models[0].fit->runs[0].points.back().loss = NAN;
  result.models[0].fit->runs.resize(10);
  result.models[0].fit->noise[0].grad_norm2 = -0.001;
  result.models[0].fit->noise[0].b_simple.reset();
  result.data.name = result.data.attribution = result.command = evil;
  result.models[1].memory.reset();
  result.models[1].fit.reset();
  result.models[1].for_fit = {};
  return result;
}

}  // namespace
}  // namespace batchwise

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  using batchwise::render_report, batchwise::render_summary;
  const batchwise::StudyResult result =
      batchwise::make_result(argc > 2 && std::strcmp(argv[2], "hostile") == 0);
  std::ofstream(argv[1]) << render_report(result);
  std::cout << render_summary(result);
}

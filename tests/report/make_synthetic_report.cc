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

ServePoint make_point(double rate, double share, double us, double wait_us) {
  ServePoint point;
  point.rate_per_s = point.goodput_per_s = rate;
  point.mean_batch = 1 + 20 * share * share + wait_us * rate * 1e-6;
  point.p50_us = us * (1.2 + share) + wait_us;
  point.p99_us = us * (2 + 3 * share / (1.05 - share)) + wait_us;
  return point;
}

ServeLayout make_layout(std::int64_t instances, std::int64_t threads, double overhead_us,
                        double sample_us) {
  ServeLayout layout;
  layout.instances = instances;
  layout.threads = threads;
  layout.batch_us = 4;
  layout.request_us = 1.3;
  for (std::int64_t batch = 1; batch <= 512; batch *= 2) {
    ServeBatchRow row;
    row.batch_size = batch;
    const double us = overhead_us + sample_us * static_cast<double>(batch);
    row.us = {us * 0.97, us, us * 1.04};
    row.repeats = 200;
    row.bytes = batch * 20 * kKiB;
    layout.rows.push_back(row);
  }
  layout.answer.max_batch = 64;
  layout.answer.capacity_per_s =
      static_cast<double>(instances) * 64e6 / (overhead_us + 64 * sample_us);
  layout.answer.at = make_point(0.95 * layout.answer.capacity_per_s, 0.95, overhead_us, 0);
  return layout;
}

ServeRun make_run(const ServePoint& simulated, const std::string& policy, double share,
                  std::mt19937* random) {
  std::uniform_real_distribution<double> off(1.02, 1.35);
  ServeRun run;
  run.policy = policy;
  run.share = share;
  run.simulated = run.measured = simulated;
  run.measured.p50_us *= off(*random);
  run.measured.p99_us *= off(*random);
  run.measured.mean_batch *= off(*random);
  run.p50_us = {run.measured.p50_us * 0.95, run.measured.p50_us, run.measured.p50_us * 1.1, false};
  run.p99_us = {run.measured.p99_us * 0.8, run.measured.p99_us, run.measured.p99_us * 1.5, false};
  run.requests = 12000;
  run.late = 3;
  run.blocks = 3;
  return run;
}

ServeChapter make_serve(double us, std::mt19937* random) {
  ServeChapter chapter;
  chapter.p99_limit_us = 40 * us;
  chapter.layouts = {make_layout(1, 2, us, us / 12), make_layout(2, 1, us, us / 7)};
  chapter.chosen = 1;
  chapter.queue_delay_us = us;
  for (std::int64_t limit : {32, 64, 128}) {
    chapter.sizes.push_back(chapter.layouts[1].answer);
    chapter.sizes.back().max_batch = limit;
    chapter.sizes.back().at.rate_per_s *= limit == 32 ? 0.91 : 1;
  }
  const double most = chapter.layout().answer.at.rate_per_s;
  const double waits[] = {0, us, 0.2 * us};
  const char* policies[] = {"deadline", "delay", "greedy"};
  for (int p = 0; p < 3; ++p) {
    ServeCurve curve{policies[p], {}};
    for (int tenth = 1; tenth <= 10; ++tenth) {
      curve.points.push_back(make_point(most * tenth / 10, tenth / 10.0, us, waits[p]));
    }
    for (double share : {0.3, 0.6, 0.9}) {
      chapter.runs.push_back(
          make_run(make_point(most * share, share, us, waits[p]), policies[p], share, random));
    }
    chapter.curves.push_back(curve);
  }
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
  study.serve = make_serve(us, random);
  study.for_serve = recommend_serve(*study.serve);
  study.for_serve.command = "batchwise serve " + name +
                            ".onnx --profile report/study.json --p99 5ms --instances 2 "
                            "--threads 1 --max-batch 64";
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
  result.models[0].serve->note = evil;
  // A limit that nothing keeps: one chart, and no answer.
  result.models[1].serve->sizes.clear();
  result.models[1].serve->curves.clear();
  result.models[1].serve->runs.clear();
  result.models[1].serve->layouts[1].answer.at.rate_per_s = 0;
  result.models[1].serve->layouts[1].answer.why_not = evil;
  result.models[1].for_serve = recommend_serve(*result.models[1].serve);
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

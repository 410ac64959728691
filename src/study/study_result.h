// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "batchwise/memory_parts.h"
#include "measure/machine.h"
#include "measure/statistics.h"
#include "study/serve_result.h"

// What a study finds out: plain values, filled by the chapters, kept by the store, drawn by the
// report. A chapter that was not run is an empty optional, and everything that shows it says why.
namespace batchwise {

enum class StudyUse { kPredict, kServe, kFit };
std::string_view name_of(StudyUse use);  // "predict", "serve", "fit"

// One program or library and its version: "Batchwise", "0.1.0".
struct VersionRow {
  std::string name;
  std::string version;
};

struct ModelInfo {
  std::string name;  // as shown: "mlp.onnx" without its folder and ending
  std::string path;
  std::int64_t parameters = 0;
  std::vector<std::string> inputs;  // "x float32[N, 1, 8, 8]"
  std::vector<std::string> outputs;
  std::string sha256;  // of the file; empty where it was not taken
};

struct DataInfo {
  std::string name;  // as shown: "digits.csv.gz"
  std::int64_t train_samples = 0;
  std::int64_t validation_samples = 0;
  std::int64_t classes = 0;  // 0 where labels are numbers
  std::string attribution;   // whose data it is, under which licence; may be empty
};

// From the plan alone, nothing was run.
struct MemoryRow {
  StudyUse use = StudyUse::kPredict;
  std::int64_t batch_size = 0;
  std::int64_t micro_batch = 0;
  MemoryParts parts;
  std::int64_t peak_bytes = 0;  // the sum of the parts
};

struct MemoryChapter {
  std::vector<MemoryRow> rows;  // each use by rising batch size
  std::optional<std::int64_t> limit_bytes;
  std::string limit_source;     // "--memory-limit", "memory cgroup", "machine"
  std::int64_t base_bytes = 0;  // what the process holds besides the plan; counts against the limit
  // Nothing where nothing binds (a batch is a loop over micro-batches that fit).
  std::optional<std::int64_t> largest_predict_batch_size;
  std::optional<std::int64_t> largest_fit_batch_size;
  // The same of what goes through the model at once; a fit's up to its largest batch.
  std::optional<std::int64_t> largest_predict_micro_batch;
  std::optional<std::int64_t> largest_fit_micro_batch;
};

struct PredictRow {
  std::int64_t batch_size = 0;
  std::int64_t micro_batch = 0;
  bool automatic = false;  // the line of `--micro-batch auto`; not part of the curves
  Interval us;             // a call
  Interval p99_us;
  std::int64_t repeats = 0;
  std::int64_t peak_bytes = 0;

  Interval samples_per_s() const;
  Interval us_per_sample() const;
};

struct PredictChapter {
  std::vector<PredictRow> rows;         // by rising batch size, micro-batch = batch
  std::optional<PredictRow> automatic;  // the one more line
  std::int64_t threads = 1;
  std::optional<std::int64_t> knee;  // batch size
  std::string note;                  // what was left out, and why
};

// Batch 1 is the control; on trained weights where there are some.
struct AccuracyRow {
  std::int64_t batch_size = 0;
  std::int64_t samples = 0;
  std::int64_t differing_samples = 0;
  std::int64_t differing_values = 0;  // outputs of which at least one bit differs
  double max_abs_error = 0;
  std::int64_t max_ulp = 0;
  std::int64_t changed_classes = 0;
};

struct AccuracyChapter {
  std::vector<AccuracyRow> rows;
  bool trained_weights = false;
};

// A point of a training curve, mostly an epoch.
struct FitPoint {
  std::int64_t samples_seen = 0;
  std::int64_t steps = 0;
  double seconds = 0;  // of training; evaluation does not count
  std::optional<double> loss;
  std::optional<double> val_loss;
  std::optional<double> val_accuracy;
};

struct FitRun {
  std::int64_t batch_size = 0;
  std::uint64_t seed = 0;
  double learning_rate = 0;
  std::vector<FitPoint> points;
};

// All seeds of one batch size together.
struct FitRow {
  std::int64_t batch_size = 0;
  std::int64_t micro_batch = 0;
  double learning_rate = 0;
  std::int64_t seeds = 0;
  std::int64_t steps = 0;  // of one run
  Interval final_metric;   // over seeds
  Interval seconds;        // of one run
  Interval steps_per_s;
  Interval samples_per_s;
  std::int64_t peak_bytes = 0;
  bool good_enough = false;  // its final metric's interval overlaps the best one's
};

struct GradientNoiseRow {
  std::int64_t batch_size = 0;
  std::int64_t lanes = 0;
  double grad_norm2 = 0;   // |G|^2, mean over steps
  double trace_sigma = 0;  // tr(Sigma), mean over steps
  std::optional<double> b_simple;
};

struct FitChapter {
  std::vector<FitRow> rows;
  std::vector<FitRun> runs;
  std::vector<GradientNoiseRow> noise;
  std::string metric = "accuracy";  // or "mean absolute error", ...
  bool higher_is_better = true;
  std::string
      setting;       // one line: "sgd, momentum 0.9, rate 0.01 at batch 32, scaled by sqrt(B/32)"
  std::string note;  // what was left out, and why
};

struct Neighbour {
  std::int64_t batch_size = 0;
  std::string what;  // what it would have given: "93 % of the throughput, 0.6x the time a call"
  // Of Serve: the layout it is meant with.
  std::optional<std::int64_t> instances, threads;
};

// The answer for one use, or why there is none.
struct Recommendation {
  StudyUse use = StudyUse::kPredict;
  std::optional<std::int64_t> batch_size;  // nothing: see absent_reason
  std::string why;
  std::vector<Neighbour> neighbours;  // the next smaller and the next larger, where they exist
  std::string command;                // to run next
  std::optional<std::int64_t> instances, threads;  // of Serve
  std::string absent_reason;                       // "Serve is not in this version"
};

// One model's chapters.
struct ModelStudy {
  ModelInfo model;
  std::optional<MemoryChapter> memory;
  std::optional<PredictChapter> predict;
  std::optional<AccuracyChapter> accuracy;
  std::optional<ServeChapter> serve;
  std::optional<FitChapter> fit;
  Recommendation for_predict;
  Recommendation for_serve;
  Recommendation for_fit;
};

struct StudyResult {
  Machine machine;
  std::vector<VersionRow> versions;
  DataInfo data;
  std::string started_at;  // ISO 8601, UTC: "2026-11-21 10:00:00"
  double seconds_spent = 0;
  std::string command;  // the one that made this study
  std::vector<ModelStudy> models;
};

}  // namespace batchwise

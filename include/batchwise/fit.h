// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "batchwise/dataset.h"
#include "batchwise/model.h"
#include "batchwise/process.h"

namespace batchwise {

// How to train. A plain value; the defaults are those of the command line.
struct FitSettings {
  // What changes results.
  std::int64_t epochs = 10;
  std::int64_t steps = 0;  // 0: as many as the epochs have
  std::int64_t batch_size = 32;
  std::string loss;    // "cross-entropy", "mse"; empty: by the labels' type
  std::string metric;  // "accuracy", "mae"; empty: by the loss
  std::string optimizer = "sgd";
  double learning_rate = 0;  // 0: the optimizer's default
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 0;
  double clip_norm = 0;  // 0: no clipping
  std::string last_batch = "weighted";
  bool shuffle = true;
  std::int64_t ghost_batch = 0;
  std::vector<std::string> train, freeze;  // patterns of names
  std::string normalize;                   // "none", "0..1", "mean-std", "mean=...,std=..."
  std::string output_name;
  double validation_split = 0;
  std::uint64_t seed = 0;
  // What does not.
  std::int64_t micro_batch = 0;  // 0: auto
  std::string log_path;          // a JSON object a line
  bool measure_noise = true;     // the gradient noise scale, where a batch has two lanes
  Resources resources;
};

struct FitEpoch {
  std::int64_t epoch = 0, steps = 0, samples = 0;
  double loss = 0, metric = 0;
  std::optional<double> val_loss, val_metric;
  double samples_per_s = 0, learning_rate = 0;
  std::int64_t batch_size = 0;
  std::optional<double> noise_scale;
  std::string metric_name;
};

struct FitStatus {
  std::int64_t epoch = 0, epochs = 0, samples = 0, samples_in_epoch = 0;
  double loss = 0, metric = 0, samples_per_s = 0;
};

// Called from the calling thread.
struct FitEvents {
  std::function<bool(const FitStatus&)> on_step;  // false stops cleanly after this step
  std::function<void(const FitEpoch&)> on_epoch;
  std::function<void(const std::string&)> on_note;  // a line on what was decided
};

struct FitReport {
  std::vector<FitEpoch> epochs;
  std::string metric_name;  // "accuracy" or "mean_absolute_error"
  std::int64_t batch_size = 0, micro_batch = 0, steps = 0;
  int threads = 1;
  bool stopped = false;
  std::optional<std::int64_t> diverged_step;  // whose loss was not finite: the run ended there
  double seconds = 0, learning_rate = 0;
  MemoryParts planned;
  MemoryBase base;
  std::int64_t measured_peak_rss_bytes = 0;
  std::string weights_sha256;
};
BATCHWISE_API std::string to_json(const FitReport& report);

// Trains a model and writes it to `output`, preprocessing included, whole or not at all; not where
// training diverged.
BATCHWISE_API FitReport fit(const Model& model, const Dataset& data, const std::string& output,
                            const FitSettings& settings, const FitEvents& events = {});

}  // namespace batchwise

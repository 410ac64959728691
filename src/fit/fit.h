// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/data_source.h"
#include "data/order.h"
#include "fit/training_session.h"

namespace batchwise {

// How a last batch of an epoch that is not full is treated.
enum class LastBatch : std::uint8_t {
  kWeighted,  // its gradients' sum is divided by the nominal batch: each sample weighs the same
  kMean,      // divided by its own samples, as Keras and PyTorch do
  kDrop,
};
LastBatch parse_last_batch(const std::string& name);

struct FitOptions {
  // What changes results.
  TrainingOptions training;  // its batch_size is clamped to the samples there are
  std::int64_t epochs = 10;
  std::int64_t steps = 0;    // 0: as many as the epochs have
  double learning_rate = 0;  // 0: the optimizer's default
  bool shuffle = true;
  LastBatch last_batch = LastBatch::kWeighted;
  SampleRange train_range{0, -1};
  // What changes speed and memory only.
  int loader_threads = 1;
};

struct EpochRecord {
  std::int64_t epoch = 0;       // from 1
  std::int64_t steps = 0;       // so far
  std::int64_t samples = 0;     // of this epoch
  double loss = 0, metric = 0;  // metric: accuracy, or mean absolute error
  std::optional<double> val_loss, val_metric;
  double samples_per_s = 0;
  double learning_rate = 0;
  std::int64_t batch_size = 0;
  std::optional<double> noise_scale;  // B_simple over the epoch, with two lanes or more
  double seconds = 0;                 // training since the start, validation left out
};

struct FitProgress {
  std::int64_t epoch = 0, epochs = 0;
  std::int64_t samples = 0, samples_in_epoch = 0;
  double loss = 0, metric = 0, samples_per_s = 0;
};

// Called from the training thread. Returning false from on_progress stops cleanly.
struct FitCallbacks {
  std::function<bool(const FitProgress&)> on_progress;
  std::function<void(const EpochRecord&)> on_epoch;
  std::function<void(std::int64_t step, const StepResult&)> on_step;
};

struct FitResult {
  std::vector<EpochRecord> epochs;
  std::int64_t steps = 0;
  std::int64_t batch_size = 0;
  std::int64_t micro_batch = 0;
  bool stopped = false;
};

// The validation data, if any: another source, or a range of the training source.
struct Validation {
  const DataSource* source = nullptr;
  SampleRange range{0, -1};
};

// The learning rate that an optimizer starts with when none is given.
double default_learning_rate(Optimizer optimizer);

// Trains `session` on the samples. The loader reads, decodes and shuffles in threads of its own.
FitResult run_fit(TrainingSession& session, const DataSource& train, const Validation& validation,
                  const FitOptions& options, const FitCallbacks& callbacks);

// Loss and metric over a range of data with the weights as they are.
StepResult run_evaluation(TrainingSession& session, const DataSource& source, SampleRange range,
                          Loss loss, int loader_threads);

}  // namespace batchwise

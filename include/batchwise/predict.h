// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "batchwise/dataset.h"
#include "batchwise/model.h"
#include "batchwise/process.h"

namespace batchwise {

struct PredictOptions {
  std::int64_t batch_size = 0;   // samples a call; 0: auto
  std::int64_t micro_batch = 0;  // samples a pass; 0: auto. Neither changes a result
  std::string output_name;       // one output; empty: all where the file can hold them
  bool control = false;          // run every sample alone too, and compare
  Resources resources;
  // Called now and then from the calling thread; false stops with Error{kInterrupted}.
  std::function<bool(std::int64_t samples, std::int64_t of)> on_progress;
};

// What a prediction took. A plain value.
struct PredictReport {
  std::int64_t samples = 0, batch_size = 0, micro_batch = 0;
  int threads = 1;
  double seconds = 0, samples_per_s = 0;
  MemoryParts planned;
  MemoryBase base;
  std::int64_t measured_peak_rss_bytes = 0;  // less the base
  std::string output_sha256;
  struct Control {
    std::int64_t differing_samples = 0;
    double max_abs_error = 0;
    std::uint64_t max_ulp = 0;
    std::int64_t changed_classes = 0;
  };
  std::optional<Control> control;
};
BATCHWISE_API std::string to_json(const PredictReport& report);

// Outputs of some samples, in order; valid during the call.
using PredictSink = std::function<void(std::span<const ConstTensorView> outputs)>;

// Streams the data through the model, in the memory of a micro-batch.
BATCHWISE_API PredictReport predict(const Model& model, const Dataset& data,
                                    const PredictSink& sink, const PredictOptions& options = {});
// Into a .npy, .npz or .csv file, which appears whole or not at all.
BATCHWISE_API PredictReport predict_to_file(const Model& model, const Dataset& data,
                                            const std::string& path,
                                            const PredictOptions& options = {});

struct EvaluateOptions {
  std::string loss;  // "cross-entropy", "mse"; empty: by the labels' type
  std::string output_name;
  std::int64_t batch_size = 0, micro_batch = 0;
  Resources resources;
  std::function<bool(std::int64_t samples, std::int64_t of)> on_progress;
};

struct EvaluateReport {
  std::int64_t samples = 0, batch_size = 0, micro_batch = 0;
  double loss = 0;
  std::string metric_name;  // "accuracy" or "mean_absolute_error"
  double metric = 0;
  double seconds = 0, samples_per_s = 0;
  MemoryParts planned;
  MemoryBase base;
  std::int64_t measured_peak_rss_bytes = 0;
};
BATCHWISE_API std::string to_json(const EvaluateReport& report);
BATCHWISE_API EvaluateReport evaluate(const Model& model, const Dataset& data,
                                      const EvaluateOptions& options = {});

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "batchwise/dataset.h"
#include "batchwise/graph_ops.h"
#include "batchwise/model.h"

namespace batchwise {

// How a Trainer trains. A plain value; defaults are those of the command line.
struct TrainerOptions {
  // What changes results.
  std::string loss = "cross-entropy";  // or "mse"
  SampleFunction custom_loss;          // in place of `loss`
  SampleFunction custom_metric;        // its mean is in each result
  bool integer_labels = true;          // of a custom loss: int64 [N]; else like the output, float32
  std::string optimizer = "sgd";       // or "adam"
  double learning_rate = 0;            // 0: the optimizer's default
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 0;
  double clip_norm = 0;          // 0: no clipping
  std::int64_t batch_size = 32;  // the nominal batch: a smaller one weighs less
  std::int64_t ghost_batch = 0;
  std::vector<std::string> train, freeze;  // patterns of names
  std::uint64_t seed = 0;
  // What does not.
  std::int64_t micro_batch = 0;  // 0: chosen
  int threads = 0;               // 0: the cores that this process may use
};

// The sums over one batch, or over an epoch, as means a sample.
struct TrainResult {
  std::int64_t samples = 0;
  double loss = 0;
  std::optional<double> accuracy;  // of cross-entropy
  std::optional<double> metric;    // of a custom metric
  double gradient_norm = 0;        // before clipping; 0 without it
};

// A model being trained, step by step. Weights after a step have the same bits for every
// micro-batch and number of threads. Not thread-safe.
class BATCHWISE_API Trainer {
 public:
  struct State;
  Trainer(const Model& model, const TrainerOptions& options);
  Trainer(Trainer&&) noexcept;
  Trainer& operator=(Trainer&&) noexcept;
  ~Trainer();

  // One weight update. Requires: at most batch_size samples, features in the order of the inputs.
  TrainResult step(const Batch& batch);
  void set_learning_rate(double rate);
  double learning_rate() const;
  std::int64_t steps() const;
  std::int64_t micro_batch() const;
  std::int64_t batch_size() const;
  std::uint64_t seed() const;
  DType label_dtype() const;  // what step() wants: kInt64 or kFloat32
  std::string weights_sha256() const;
  // The model with the weights as they are now.
  Model model() const;

 private:
  std::unique_ptr<State> state_;
};

struct EpochResult : TrainResult {
  std::int64_t epoch = 0;  // from 1
};

// Trains for `epochs` with a shuffled batch after the other; `on_epoch` returning false stops.
BATCHWISE_API std::vector<EpochResult> fit(
    Trainer& trainer, const Dataset& data, std::int64_t epochs,
    const std::function<bool(const EpochResult&)>& on_epoch = {});

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/model.h"
#include "fit/training_session.h"
#include "predict/predictor.h"

namespace batchwise::bench {

inline constexpr int kThreads = 2;
// Of the data set that training draws from: more than caches hold.
inline constexpr std::int64_t kTrainingSamples = 16384;

inline double now_us() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::micro>(since).count();
}

// The median time of a call, over calls grouped into stretches of a millisecond or more, after
// warm-up calls; takes about `budget_ms`.
template <typename F>
double median_us(F&& call, double budget_ms) {
  const double begin = now_us();
  do {
    call();
  } while (now_us() - begin < 0.2e3 * budget_ms);
  const double begin_one = now_us();
  call();
  const double one = now_us() - begin_one;
  const int group = static_cast<int>(std::clamp(1000.0 / std::max(one, 0.1), 1.0, 1e4));
  std::vector<double> times;
  const double begin_all = now_us();
  do {
    const double start = now_us();
    for (int i = 0; i < group; ++i) call();
    times.push_back((now_us() - start) / group);
  } while (now_us() - begin_all < 1e3 * budget_ms);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// Normal numbers that depend on the seed and their place only.
std::vector<float> random_floats(std::int64_t count, unsigned seed);

// Writes the MLP 784-512-512-10 or the CNN of 1x28x28 images with seeded weights.
void write_new_model(const std::string& architecture, const std::string& path);

// A model read from a file and prepared, with the samples that it is run on.
class LoadedModel {
 public:
  explicit LoadedModel(const std::string& path);
  const std::shared_ptr<const EngineModel>& engine() const { return engine_; }
  std::int64_t input_floats() const { return input_floats_; }  // of one sample
  // At least `count` samples: a smaller count begins with the same ones.
  const std::vector<float>& samples(std::int64_t count);
  // The micro-batch that the engine would choose for a batch.
  std::int64_t choose_micro_batch(std::int64_t batch) const;

 private:
  std::shared_ptr<const EngineModel> engine_;
  std::int64_t input_floats_ = 0;
  std::vector<float> samples_;
};

// Predicting one batch again and again.
class PredictRun {
 public:
  PredictRun(LoadedModel& model, std::int64_t batch);
  void call();
  // Are the bits of the first sample's outputs those of a batch of 1?
  bool first_sample_matches();
  std::int64_t micro_batch() const { return predictor_.micro_batch(); }
  const std::vector<float>& outputs() const { return outputs_; }

 private:
  LoadedModel& model_;
  std::int64_t batch_;
  Predictor predictor_;
  std::vector<float> outputs_;
};

// Training on batches drawn in random order from samples in memory: gathering them counts.
class FitRun {
 public:
  FitRun(LoadedModel& model, std::int64_t batch);
  void step();
  std::int64_t micro_batch() const { return session_.micro_batch(); }

 private:
  LoadedModel& model_;
  std::int64_t batch_;
  TrainingSession session_;
  std::vector<std::int32_t> order_;
  std::size_t next_ = 0;
  std::vector<float> features_;
  std::vector<std::int64_t> all_labels_, labels_;
};

TrainingOptions training_options(std::int64_t batch);
std::shared_ptr<const TrainableModel> trainable_model(const LoadedModel& model);
std::int64_t training_micro_batch(const std::shared_ptr<const TrainableModel>& model,
                                  std::int64_t batch);

}  // namespace batchwise::bench

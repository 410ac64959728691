// SPDX-License-Identifier: Apache-2.0
#include "peers/workload.h"

#include <cstring>
#include <numeric>
#include <random>

#include "architectures/architecture.h"
#include "backend/cpu/isa.h"
#include "base/check.h"
#include "batching/cost_model.h"
#include "engine/evaluator.h"
#include "fit/choose_micro_batch.h"
#include "measure/machine.h"
#include "onnx_io/onnx_io.h"
#include "passes/bind_batch.h"

namespace batchwise::bench {
namespace {

// As in predict: nothing above is faster.
constexpr std::int64_t kLargestMicroBatch = 512;

MachineSpeed machine_speed() {
  return estimate_machine(kThreads, cpu::current_isa() == cpu::Isa::kAvx512,
                          describe_machine().l2_bytes);
}

Graph read_free(const std::string& path) {
  Graph graph = onnx_io::read_onnx(path);
  if (graph.value(graph.inputs.front()).batch.axis < 0) {
    const std::string reason = free_batch(graph, engine_evaluator());
    if (!reason.empty()) fail_input(path, "{}", reason);
  }
  return graph;
}

}  // namespace

std::vector<float> random_floats(std::int64_t count, unsigned seed) {
  std::vector<float> floats(static_cast<std::size_t>(count));
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, 1);
  for (float& value : floats) value = normal(generator);
  return floats;
}

void write_new_model(const std::string& architecture, const std::string& path) {
  ArchitectureOptions options;
  options.input =
      architecture == "mlp" ? std::vector<std::int64_t>{784} : std::vector<std::int64_t>{1, 28, 28};
  onnx_io::write_onnx(make_architecture(architecture, options), path);
}

LoadedModel::LoadedModel(const std::string& path)
    : engine_(std::make_shared<EngineModel>(read_free(path), ModelOptions{})) {
  input_floats_ = engine_->source().shape(engine_->source().inputs.front()).elements();
}

const std::vector<float>& LoadedModel::samples(std::int64_t count) {
  if (static_cast<std::int64_t>(samples_.size()) < count * input_floats_) {
    samples_ = random_floats(count * input_floats_, 1);
  }
  return samples_;
}

std::int64_t LoadedModel::choose_micro_batch(std::int64_t batch) const {
  return batchwise::choose_micro_batch(
      [&](std::int64_t size) {
        return estimate_run_us(*engine_->plan(size, kThreads), machine_speed());
      },
      {batch, std::min(kLargestMicroBatch, batch)}, [](std::int64_t) { return true; });
}

PredictRun::PredictRun(LoadedModel& model, std::int64_t batch)
    : model_(model),
      batch_(batch),
      predictor_(model.engine(), model.choose_micro_batch(batch), kThreads),
      outputs_(static_cast<std::size_t>(batch * predictor_.output_bytes(0)) / sizeof(float)) {
  model_.samples(batch);
}

void PredictRun::call() {
  const void* input = model_.samples(batch_).data();
  void* output = outputs_.data();
  predictor_.run({&input, 1}, batch_, {&output, 1});
}

bool PredictRun::first_sample_matches() {
  Predictor alone(model_.engine(), 1, kThreads);
  const auto bytes = static_cast<std::size_t>(alone.output_bytes(0));
  std::vector<float> expected(bytes / sizeof(float));
  const void* input = model_.samples(1).data();
  void* output = expected.data();
  alone.run({&input, 1}, 1, {&output, 1});
  return std::memcmp(expected.data(), outputs_.data(), bytes) == 0;
}

TrainingOptions training_options(std::int64_t batch) {
  TrainingOptions options;
  options.batch_size = batch;
  options.threads = kThreads;
  return options;
}

std::shared_ptr<const TrainableModel> trainable_model(const LoadedModel& model) {
  return std::make_shared<const TrainableModel>(make_trainable(model.engine()->source(), {}, 0));
}

std::int64_t training_micro_batch(const std::shared_ptr<const TrainableModel>& model,
                                  std::int64_t batch) {
  return choose_training_micro_batch(model, training_options(batch), machine_speed(),
                                     [](const TrainingSession&) { return true; });
}

namespace {

TrainingOptions chosen_options(const std::shared_ptr<const TrainableModel>& model,
                               std::int64_t batch) {
  TrainingOptions options = training_options(batch);
  options.micro_batch = training_micro_batch(model, batch);
  return options;
}

TrainingSession make_session(const LoadedModel& model, std::int64_t batch) {
  const auto trainable = trainable_model(model);
  return TrainingSession(trainable, chosen_options(trainable, batch));
}

}  // namespace

FitRun::FitRun(LoadedModel& model, std::int64_t batch)
    : model_(model),
      batch_(batch),
      session_(make_session(model, batch)),
      order_(kTrainingSamples),
      features_(static_cast<std::size_t>(batch * model.input_floats())),
      all_labels_(kTrainingSamples),
      labels_(static_cast<std::size_t>(batch)) {
  model_.samples(kTrainingSamples);
  std::iota(order_.begin(), order_.end(), 0);
  std::mt19937 generator(7);
  std::shuffle(order_.begin(), order_.end(), generator);
  for (auto& label : all_labels_) label = static_cast<std::int64_t>(generator() % 10);
}

void FitRun::step() {
  const float* all = model_.samples(kTrainingSamples).data();
  const auto floats = static_cast<std::size_t>(model_.input_floats());
  if (next_ + static_cast<std::size_t>(batch_) > order_.size()) next_ = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(batch_); ++i) {
    const auto from = static_cast<std::size_t>(order_[next_++]);
    std::memcpy(features_.data() + i * floats, all + from * floats, floats * sizeof(float));
    labels_[i] = all_labels_[from];
  }
  const void* features = features_.data();
  session_.step({{&features, 1}, labels_.data(), batch_}, batch_, 0.001);
}

}  // namespace batchwise::bench

// SPDX-License-Identifier: Apache-2.0
#include "batchwise/trainer.h"

#include "api/state.h"
#include "base/check.h"
#include "base/thread_pool.h"
#include "batchwise/process.h"
#include "fit/choose_micro_batch.h"
#include "fit/fit.h"
#include "measure/machine.h"
#include "ops/builder.h"

namespace batchwise {
namespace {

SampleValue as_graph(const SampleFunction& function) {
  if (!function) return {};
  return [function](GraphBuilder& build, ValueId output, ValueId labels) {
    GraphOps ops(build);
    const GraphValue value =
        function(ops, {static_cast<std::int32_t>(output)}, {static_cast<std::int32_t>(labels)});
    return ValueId(value.id);
  };
}

TrainingOptions training_options(const TrainerOptions& options) {
  TrainingOptions training;
  if (!options.custom_loss) training.loss = parse_loss(options.loss);
  training.custom_loss = as_graph(options.custom_loss);
  training.custom_metric = as_graph(options.custom_metric);
  training.integer_labels = options.integer_labels;
  training.optimizer.kind = parse_optimizer(options.optimizer);
  training.optimizer.momentum = options.momentum;
  training.optimizer.nesterov = options.nesterov;
  training.optimizer.weight_decay = options.weight_decay;
  training.optimizer.clip_norm = options.clip_norm;
  training.selection = {options.train, options.freeze};
  if (options.batch_size < 1) fail_input("Trainer", "batch_size {} is below 1", options.batch_size);
  training.batch_size = options.batch_size;
  training.ghost_batch = options.ghost_batch;
  training.seed = options.seed;
  training.micro_batch = options.micro_batch;
  training.threads = options.threads > 0 ? options.threads : usable_cores();
  return training;
}

}  // namespace

namespace {

// The options with the micro-batch chosen, where it was left to us.
TrainingOptions with_micro_batch(TrainingOptions options,
                                 const std::shared_ptr<const TrainableModel>& model) {
  if (options.micro_batch > 0) return options;
  const MachineSpeed machine =
      estimate_machine(options.threads, instruction_set() == "avx512", describe_machine().l2_bytes);
  options.micro_batch = choose_training_micro_batch(model, options, machine,
                                                    [](const TrainingSession&) { return true; });
  return options;
}

}  // namespace

struct Trainer::State {
  State(const Model& model, const TrainerOptions& trainer_options)
      : source(model.state()->source),
        options(training_options(trainer_options)),
        trainable(std::make_shared<TrainableModel>(
            make_trainable(source, options.selection, options.ghost_batch))),
        session(trainable, with_micro_batch(options, trainable)),
        rate(trainer_options.learning_rate > 0 ? trainer_options.learning_rate
                                               : default_learning_rate(options.optimizer.kind)),
        seed(trainer_options.seed) {}

  bool labels_are_classes() const {
    return options.custom_loss ? options.integer_labels : options.loss == Loss::kCrossEntropy;
  }

  Graph source;
  TrainingOptions options;
  std::shared_ptr<const TrainableModel> trainable;
  TrainingSession session;
  double rate;
  std::uint64_t seed;
};

Trainer::Trainer(const Model& model, const TrainerOptions& options)
    : state_(std::make_unique<State>(model, options)) {}
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;
Trainer::~Trainer() = default;

TrainResult Trainer::step(const Batch& batch) {
  const std::size_t inputs = state_->source.inputs.size();
  if (batch.features.size() != inputs || batch.labels.data == nullptr) {
    fail_input("Trainer::step", "wants {} features and labels, not {}{}", inputs,
               batch.features.size(), batch.labels.data == nullptr ? " without labels" : "");
  }
  if (batch.count < 1 || batch.count > state_->options.batch_size) {
    fail_input("Trainer::step", "{} samples where 1 to {} belong", batch.count,
               state_->options.batch_size);
  }
  const DType wanted = state_->labels_are_classes() ? DType::kInt64 : DType::kFloat32;
  if (batch.labels.dtype != wanted) {
    fail_input("Trainer::step", "labels are {}, the loss wants {}", dtype_name(batch.labels.dtype),
               dtype_name(wanted));
  }
  std::vector<const void*> features;
  for (std::size_t i = 0; i < inputs; ++i) {
    const Value& input = state_->source.value(state_->source.inputs[i]);
    const Shape given(batch.features[i].shape);
    if (batch.features[i].dtype != input.type.dtype ||
        given.elements() != input.type.shape.elements() * batch.count) {
      fail_input("Trainer::step", "feature {} is {}{}, input '{}' takes {} samples of {}{}", i,
                 dtype_name(batch.features[i].dtype), given.to_string(), input.name, batch.count,
                 dtype_name(input.type.dtype), input.type.shape.to_string());
    }
    features.push_back(batch.features[i].data);
  }
  const StepResult sums = state_->session.step({features, batch.labels.data, batch.count},
                                               state_->options.batch_size, state_->rate);
  TrainResult result;
  const auto count = static_cast<double>(sums.samples);
  result.samples = sums.samples;
  result.loss = sums.loss_sum / count;
  result.gradient_norm = sums.gradient_norm;
  if (state_->options.custom_metric) result.metric = sums.metric_sum / count;
  if (!state_->options.custom_loss && state_->labels_are_classes()) {
    result.accuracy = static_cast<double>(sums.correct) / count;
  }
  return result;
}

void Trainer::set_learning_rate(double rate) { state_->rate = rate; }
double Trainer::learning_rate() const { return state_->rate; }
std::int64_t Trainer::steps() const { return state_->session.steps(); }
std::int64_t Trainer::micro_batch() const { return state_->session.micro_batch(); }
std::string Trainer::weights_sha256() const { return state_->session.weights_sha256(); }

Model Trainer::model() const {
  Graph graph = state_->source;
  const auto take = [&](const std::string& name) {
    const ValueId id = graph.find(name);
    const Shape& shape = graph.shape(id);
    graph.value(id).constant =
        Tensor::copy_of(DType::kFloat32, shape, state_->session.state(name).data());
  };
  for (const Parameter& parameter : state_->session.model().parameters) take(parameter.name);
  for (const std::string& name : state_->session.model().statistics) take(name);
  return Model(make_model_state(std::move(graph), "trained", ""));
}

std::vector<EpochResult> fit(Trainer& trainer, const Dataset& data, std::int64_t epochs,
                             const std::function<bool(const EpochResult&)>& on_epoch) {
  BatchOptions options;
  options.batch_size = trainer.batch_size();
  options.shuffle = true;
  options.seed = trainer.seed();
  options.epochs = epochs;
  options.label_dtype = trainer.label_dtype();
  Batches batches = data.batches(options);
  std::vector<EpochResult> results;
  EpochResult sums;
  double loss = 0, accuracy = 0, metric = 0;
  const auto finish = [&] {
    const auto count = static_cast<double>(sums.samples);
    sums.loss = loss / count;
    if (sums.accuracy) sums.accuracy = accuracy / count;
    if (sums.metric) sums.metric = metric / count;
    sums.epoch = static_cast<std::int64_t>(results.size()) + 1;
    results.push_back(sums);
    sums = {};
    loss = accuracy = metric = 0;
    return !on_epoch || on_epoch(results.back());
  };
  while (const Batch* batch = batches.next()) {
    if (batch->epoch != static_cast<std::int64_t>(results.size()) && !finish()) return results;
    const TrainResult step = trainer.step(*batch);
    const auto count = static_cast<double>(step.samples);
    sums.samples += step.samples;
    loss += step.loss * count;
    sums.accuracy = step.accuracy;
    sums.metric = step.metric;
    accuracy += step.accuracy.value_or(0) * count;
    metric += step.metric.value_or(0) * count;
    sums.gradient_norm = step.gradient_norm;
  }
  if (sums.samples > 0) finish();
  return results;
}

std::int64_t Trainer::batch_size() const { return state_->options.batch_size; }
std::uint64_t Trainer::seed() const { return state_->seed; }
DType Trainer::label_dtype() const {
  return state_->labels_are_classes() ? DType::kInt64 : DType::kFloat32;
}

}  // namespace batchwise

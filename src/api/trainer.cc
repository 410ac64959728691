// SPDX-License-Identifier: Apache-2.0
#include "batchwise/trainer.h"

#include <utility>

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

  // Throws Error where the batch is not what the model and the loss take.
  void check(const Batch& batch) const;

  Graph source;
  TrainingOptions options;
  std::shared_ptr<const TrainableModel> trainable;
  TrainingSession session;
  double rate;
  std::uint64_t seed;
};

void Trainer::State::check(const Batch& batch) const {
  const std::size_t inputs = source.inputs.size();
  if (batch.features.size() != inputs || batch.labels.data == nullptr) {
    fail_input("Trainer::step", "wants {} features and labels, not {}{}", inputs,
               batch.features.size(), batch.labels.data == nullptr ? " without labels" : "");
  }
  if (batch.count < 1 || batch.count > options.batch_size) {
    fail_input("Trainer::step", "{} samples where 1 to {} belong", batch.count, options.batch_size);
  }
  const DType wanted = labels_are_classes() ? DType::kInt64 : DType::kFloat32;
  if (batch.labels.dtype != wanted) {
    fail_input("Trainer::step", "labels are {}, the loss wants {}", dtype_name(batch.labels.dtype),
               dtype_name(wanted));
  }
  for (std::size_t i = 0; i < inputs; ++i) {
    const Value& input = source.value(source.inputs[i]);
    const Shape given(batch.features[i].shape);
    if (batch.features[i].dtype != input.type.dtype ||
        given.elements() != input.type.shape.elements() * batch.count) {
      fail_input("Trainer::step", "feature {} is {}{}, input '{}' takes {} samples of {}{}", i,
                 dtype_name(batch.features[i].dtype), given.to_string(), input.name, batch.count,
                 dtype_name(input.type.dtype), input.type.shape.to_string());
    }
  }
}

Trainer::Trainer(const Model& model, const TrainerOptions& options)
    : state_(std::make_unique<State>(model, options)) {}
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;
Trainer::~Trainer() = default;

TrainResult Trainer::step(const Batch& batch) {
  state_->check(batch);
  std::vector<const void*> features;
  for (const auto& feature : batch.features) features.push_back(feature.data);
  const StepResult& sums = state_->session.step({features, batch.labels.data, batch.count},
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

namespace {

// The means over the samples of an epoch, out of those of its steps.
class EpochMeans {
 public:
  void add(const TrainResult& step) {
    const auto count = static_cast<double>(step.samples);
    result_.samples += step.samples;
    result_.loss += step.loss * count;
    if (step.accuracy) result_.accuracy = result_.accuracy.value_or(0) + *step.accuracy * count;
    if (step.metric) result_.metric = result_.metric.value_or(0) + *step.metric * count;
    result_.gradient_norm = step.gradient_norm;
  }
  bool empty() const { return result_.samples == 0; }
  // The means so far; the next epoch begins.
  EpochResult take(std::int64_t epoch) {
    EpochResult mean = std::exchange(result_, {});
    const auto count = static_cast<double>(mean.samples);
    mean.epoch = epoch;
    mean.loss /= count;
    if (mean.accuracy) *mean.accuracy /= count;
    if (mean.metric) *mean.metric /= count;
    return mean;
  }

 private:
  EpochResult result_;  // sums, not means
};

}  // namespace

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
  EpochMeans means;
  const auto finish = [&] {
    results.push_back(means.take(static_cast<std::int64_t>(results.size()) + 1));
    return !on_epoch || on_epoch(results.back());
  };
  while (const Batch* batch = batches.next()) {
    if (batch->epoch != static_cast<std::int64_t>(results.size()) && !finish()) return results;
    means.add(trainer.step(*batch));
  }
  if (!means.empty()) finish();
  return results;
}

std::int64_t Trainer::batch_size() const { return state_->options.batch_size; }
std::uint64_t Trainer::seed() const { return state_->seed; }
DType Trainer::label_dtype() const {
  return state_->labels_are_classes() ? DType::kInt64 : DType::kFloat32;
}

}  // namespace batchwise

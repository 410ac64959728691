// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/heap.h"
#include "binding/data_binding.h"
#include "binding/preprocessing.h"
#include "data/data_statistics.h"
#include "fit/fit_use.h"
#include "fit/training_planner.h"

namespace batchwise {
namespace {

using Note = std::function<void(const std::string&)>;

void check_settings(const FitSettings& settings) {
  if (settings.epochs < 1) fail_input("--epochs", "{} is below 1", settings.epochs);
  if (settings.steps < 0) fail_input("--steps", "{} is below 1", settings.steps);
  if (settings.batch_size < 1) fail_input("--batch-size", "{} is below 1", settings.batch_size);
  if (settings.micro_batch < 0) fail_input("--micro-batch", "{} is below 1", settings.micro_batch);
  if (settings.ghost_batch < 0) fail_input("--ghost-batch", "{} is below 1", settings.ghost_batch);
  const auto not_negative = [](const char* where, double value) {
    if (!(value >= 0) || !std::isfinite(value)) fail_input(where, "{} is below 0", value);
  };
  not_negative("--lr", settings.learning_rate);
  not_negative("--momentum", settings.momentum);
  not_negative("--weight-decay", settings.weight_decay);
  not_negative("--clip", settings.clip_norm);
  if (settings.momentum >= 1) fail_input("--momentum", "{} is not below 1", settings.momentum);
}

Loss choose_loss(const FitSettings& settings, const DataSource& data) {
  if (!data.label()) {
    throw Error(ErrorCode::kInvalidInput, fmt::format("[{}] has no labels", data.path()),
                "--label names the column or array with the labels");
  }
  if (!settings.loss.empty()) return parse_loss(settings.loss);
  return data.label()->dtype == DType::kInt64 ? Loss::kCrossEntropy : Loss::kMeanSquaredError;
}

std::string choose_metric(const std::string& name, Loss loss) {
  const bool classes = loss == Loss::kCrossEntropy;
  std::string fits = classes ? "accuracy" : "mean_absolute_error";
  if (name.empty() || name == fits || (name == "mae" && !classes)) return fits;
  if (name == "accuracy" || name == "mae" || name == "mean_absolute_error") {
    fail_input("--metric", "{} does not go with the loss {}", name,
               classes ? "cross-entropy" : "mse");
  }
  fail_input("--metric", "{} is unknown; there are accuracy and mae", name);
}

ValueId find_output(const Graph& graph, const std::string& name) {
  if (name.empty()) return graph.outputs.front();
  for (ValueId id : graph.outputs) {
    if (graph.value(id).name == name) return id;
  }
  fail_input("--output", "{} is no output", name);
}

void check_targets(const Graph& graph, const std::string& output, Loss loss,
                   const DataSource& data) {
  const Value& value = graph.value(find_output(graph, output));
  std::int64_t width = value.type.shape.elements();
  if (!graph.inputs.empty()) {
    const Value& input = graph.value(graph.inputs.front());
    if (input.batch.axis >= 0)
      width /= std::max<std::int64_t>(1, input.type.shape[input.batch.axis]);
  }
  if (loss == Loss::kCrossEntropy) return check_labels(data, width);
  if (data.label()->shape.elements() != width) {
    fail_input(data.path(), "a sample has {} targets, the model's output '{}' {}",
               data.label()->shape.elements(), value.name, width);
  }
}

std::string class_list(const std::vector<std::string>& names) {
  std::string text = "[";
  for (const std::string& name : names) {
    text += text.size() > 1 ? ", \"" : "\"";
    for (char c : name) {
      if (c == '"' || c == '\\') text += '\\';
      if (static_cast<unsigned char>(c) < 0x20) {
        text += fmt::format("\\u{:04x}", static_cast<int>(c));
      } else {
        text += c;
      }
    }
    text += '"';
  }
  return text + "]";
}

void settle_micro_batch(FitUse& use, const DataSource& train) {
  TrainingOptions& training = use.options.training;
  const TrainingPlanner planner{use.model, train, use.validation.source, training, use.room};
  const std::int64_t wanted = std::min(training.micro_batch, training.batch_size);
  if (planner.one_piece() && wanted > 0 && wanted < training.batch_size) {
    throw Error(ErrorCode::kInvalidInput,
                fmt::format("[--micro-batch] {}: the model normalizes over the batch of {}", wanted,
                            training.batch_size),
                "--ghost-batch N normalizes over groups of N samples");
  }
  training.micro_batch = wanted > 0 ? wanted : planner.choose_micro_batch();
  if (training.micro_batch == 0) {
    refuse_size("fit", "micro-batch", 1, planner.parts_at(1), use.room, 0);
  }
  use.parts = planner.parts_at(training.micro_batch);
  if (use.room.fits(use.parts.total())) return;
  if (!planner.one_piece()) {
    refuse_size("fit", "micro-batch", wanted, use.parts, use.room,
                planner.largest_micro_batch(training.micro_batch));
  }
  const std::int64_t largest = planner.largest_batch(training.batch_size);
  throw Error(
      ErrorCode::kNo,
      fmt::format(
          "[fit] batch {} in one piece needs {}, the limit is {}; {} is the largest that fits",
          training.batch_size, format_size(use.parts.total() + use.room.base_bytes),
          format_size(use.room.limit_bytes), largest),
      largest > 0 ? fmt::format("--ghost-batch {} lets the batch be cut", largest)
                  : std::string("raise --memory-limit"));
}

void choose_validation(FitUse& use, const DataSource& train, const DataSource* test,
                       const FitSettings& settings, const Note& note) {
  use.options.train_range = {0, train.num_samples()};
  if (test != nullptr) {
    use.validation = {test, {0, test->num_samples()}};
    if (settings.validation_split > 0 && note) {
      note("validation is the test split; --validation-split is for data without one");
    }
  } else if (settings.validation_split != 0) {
    const TrainValidation split =
        split_for_validation(train.num_samples(), settings.validation_split);
    use.options.train_range = split.train;
    use.validation = {&train, split.validation};
  }
}

void clamp_batch(FitUse& use, const Note& note) {
  std::int64_t& batch = use.options.training.batch_size;
  const std::int64_t samples = use.options.train_range.count();
  if (samples < 1) fail_input("fit", "the data has no sample to train with");
  if (batch > samples) {
    if (note)
      note(fmt::format("batch size {} is more than the {} samples: {} is taken", batch, samples,
                       samples));
    batch = samples;
  }
  if (use.options.last_batch != LastBatch::kDrop) {
    use.options.training.last_batch_size = samples % batch;
  }
}

}  // namespace

FitUse prepare_fit(const Graph& source, const DataSource& train, const DataSource* validation,
                   const FitSettings& settings, const Note& note) {
  check_settings(settings);
  FitUse use;
  use.room = memory_room(settings.resources);
  use.exported = source;
  bind_data(source, train);
  TrainingOptions& training = use.options.training;
  training.loss = choose_loss(settings, train);
  use.metric_name = choose_metric(settings.metric, training.loss);
  check_targets(source, settings.output_name, training.loss, train);
  if (validation != nullptr) {
    bind_data(source, *validation);
    check_targets(source, settings.output_name, training.loss, *validation);
  }
  training.optimizer = {.kind = parse_optimizer(settings.optimizer),
                        .momentum = settings.momentum,
                        .nesterov = settings.nesterov,
                        .weight_decay = settings.weight_decay,
                        .clip_norm = settings.clip_norm};
  training.output_name = settings.output_name;
  training.batch_size = settings.batch_size;
  training.ghost_batch = settings.ghost_batch;
  training.seed = settings.seed;
  training.micro_batch = settings.micro_batch;
  training.threads = thread_count(settings.resources);
  training.measure_gradients = settings.measure_noise;
  use.options.epochs = settings.epochs;
  use.options.steps = settings.steps;
  use.options.learning_rate = settings.learning_rate;
  use.options.shuffle = settings.shuffle;
  use.options.last_batch = parse_last_batch(settings.last_batch);
  choose_validation(use, train, validation, settings, note);
  training.evaluates = use.validation.source != nullptr;
  clamp_batch(use, note);
  // The data that a model with preprocessing was trained on is not normalized again.
  if (preprocessing_mark(source).empty()) {
    add_preprocessing(use.exported,
                      choose_preprocessing(settings.normalize, train, use.options.train_range));
  } else if (!settings.normalize.empty() && settings.normalize != "none") {
    fail_input("--normalize", "the model already normalizes its input ({})",
               preprocessing_mark(source));
  }
  if (!train.class_names().empty()) {
    use.exported.metadata["batchwise.classes"] = class_list(train.class_names());
  }
  use.model = std::make_shared<const TrainableModel>(
      make_trainable(use.exported, {settings.train, settings.freeze}, settings.ghost_batch));
  settle_micro_batch(use, train);
  return_free_heap();  // what the sizes that were not chosen took is no part of the plan
  return use;
}

}  // namespace batchwise

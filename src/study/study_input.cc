// SPDX-License-Identifier: Apache-2.0
#include "study/study_input.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/check.h"
#include "base/sha256.h"
#include "binding/data_binding.h"
#include "data/parted_source.h"
#include "engine/evaluator.h"
#include "onnx_io/onnx_io.h"
#include "study/chapters.h"

namespace batchwise {
namespace {

constexpr double kValidationSplit = 0.2;  // of data that is not divided
constexpr std::int64_t kLargestBatch = std::int64_t{1} << 20;
constexpr std::uintmax_t kHashedBytes = 256 << 20;

void check_sizes(const char* where, std::vector<std::int64_t>* sizes) {
  for (std::int64_t size : *sizes) {
    if (size < 1) fail_input(where, "{} is below 1", size);
    if (size > kLargestBatch) fail_input(where, "{} is above {}", size, kLargestBatch);
  }
  std::sort(sizes->begin(), sizes->end());
  sizes->erase(std::unique(sizes->begin(), sizes->end()), sizes->end());
}

std::string file_sha256(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<char> block(1 << 20);
  Sha256 hash;
  while (file) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    hash.update(block.data(), static_cast<std::size_t>(file.gcount()));
  }
  return hash.hex();
}

// The content of a file of moderate size, else what the folder says about it.
std::string identity_of(const DataSpec& spec) {
  std::error_code error;
  const bool file = std::filesystem::is_regular_file(spec.path, error);
  const std::uintmax_t bytes = file ? std::filesystem::file_size(spec.path, error) : 0;
  std::string identity =
      file && bytes <= kHashedBytes
          ? file_sha256(spec.path)
          : fmt::format("{} of {} bytes",
                        std::filesystem::weakly_canonical(spec.path, error).string(), bytes);
  return fmt::format("{} split={} limit={} label={}", identity, spec.split, spec.limit, spec.label);
}

std::string port(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  std::vector<std::string> dims;
  for (int axis = 0; axis < value.type.shape.rank(); ++axis) {
    dims.push_back(axis == std::max(value.batch.axis, 0) ? "N"
                                                         : std::to_string(value.type.shape[axis]));
  }
  return fmt::format("{} {}[{}]", value.name, dtype_name(value.type.dtype), fmt::join(dims, ", "));
}

std::int64_t count_parameters(const Graph& graph) {
  try {
    std::int64_t count = 0;
    for (const Parameter& p : make_trainable(graph, {}, 0).parameters) count += p.shape.elements();
    return count;
  } catch (const Error&) {  // nothing to train: its constants are what it has
    std::int64_t count = 0;
    for (const Value& value : graph.values) {
      if (value.constant && value.type.dtype == DType::kFloat32) {
        count += value.type.shape.elements();
      }
    }
    return count;
  }
}

// "mlp", or "mlp (2)" where there is one already.
std::string unique_name(const std::string& path, std::set<std::string>* taken) {
  const std::string stem = std::filesystem::path(path).stem().string();
  std::string name = stem;
  for (int number = 2; !taken->insert(name).second; ++number) {
    name = fmt::format("{} ({})", stem, number);
  }
  return name;
}

StudiedModel open_model(const std::string& path, std::set<std::string>* taken) {
  StudiedModel model;
  model.graph = onnx_io::read_onnx(path);
  const bool burnt_in =
      std::any_of(model.graph.inputs.begin(), model.graph.inputs.end(),
                  [&](ValueId id) { return model.graph.value(id).batch.axis < 0; });
  if (burnt_in) {
    const std::string reason = free_batch(model.graph, engine_evaluator());
    if (!reason.empty()) fail_input(path, "its batch cannot be freed: {}", reason);
  }
  model.engine = std::make_shared<const EngineModel>(model.graph, ModelOptions{});
  model.info.path = path;
  model.info.name = unique_name(path, taken);
  model.info.sha256 = file_sha256(path);
  model.info.parameters = count_parameters(model.graph);
  for (ValueId id : model.graph.inputs) model.info.inputs.push_back(port(model.graph, id));
  for (ValueId id : model.graph.outputs) model.info.outputs.push_back(port(model.graph, id));
  model.key = fmt::format("{}-{}", model.info.name, model.info.sha256.substr(0, 12));
  return model;
}

// Throws Error where the model does not fit the data or cannot be trained on it.
void check_fit(const StudyOptions& options, const StudyData& data, const Graph& model) {
  bind_data(model, *data.train);
  bind_data(model, data.validation());
  if (!options.for_fit || !data.train->label()) return;
  FitSettings settings = options.fit;
  settings.batch_size = 1;
  settings.micro_batch = 0;
  settings.epochs = 1;
  settings.resources = options.resources;
  prepare_fit(model, *data.train, data.test.get(), settings, nullptr);
}

}  // namespace

StudyOptions checked_options(StudyOptions options) {
  if (options.models.empty()) fail_input("study", "no model is named");
  if (options.output.empty()) fail_input("-o", "no folder is named");
  std::error_code error;
  if (std::filesystem::exists(options.output, error) &&
      !std::filesystem::is_directory(options.output, error)) {
    fail_input(options.output, "is no folder");
  }
  if (!options.for_predict && !options.for_fit && !options.for_serve) {
    fail_input("--for", "names nothing; there are predict, serve and fit");
  }
  if (!(options.budget_seconds >= 0) || !std::isfinite(options.budget_seconds)) {
    fail_input("--budget", "{} s is no time", options.budget_seconds);
  }
  if (!(options.p99_us > 0) || !std::isfinite(options.p99_us)) {
    fail_input("--p99", "{} us is no time", options.p99_us);
  }
  if (options.seeds < 1 || options.seeds > 1000) {
    fail_input("--seeds", "{} is not in 1 to 1000", options.seeds);
  }
  if (options.epochs < 0) fail_input("--epochs", "{} is below 1", options.epochs);
  if (options.predict_batch_sizes.empty()) {
    for (std::int64_t size = 1; size <= 512; size *= 2) options.predict_batch_sizes.push_back(size);
  }
  check_sizes("--batch-size", &options.predict_batch_sizes);
  check_sizes("--batch-size", &options.fit_batch_sizes);
  if (options.fit.validation_split == 0) options.fit.validation_split = kValidationSplit;
  options.fit.log_path.clear();
  return options;
}

StudyData open_study_data(const StudyOptions& options) {
  StudyData data;
  const DataSpec train = with_default_split(options.data, "train");
  data.train = open_data(train);
  const std::int64_t samples = data.train->num_samples();
  if (train.split == "train" && options.data.split.empty()) {
    const std::vector<std::string> splits = available_splits(train.path);
    if (std::find(splits.begin(), splits.end(), "test") != splits.end()) {
      DataSpec test = train;
      test.split = "test";
      data.test = open_data(test);
    }
  }
  if (data.test) {
    data.train_range = {0, samples};
    data.validation_range = {0, data.test->num_samples()};
  } else if (samples < 2) {
    fail_input(options.data.path, "{} sample is too few to study", samples);
  } else {
    const double fraction = options.fit.validation_split;
    data.train = std::make_unique<PartedSource>(std::move(data.train), fraction);
    const TrainValidation split = split_for_validation(samples, fraction);
    data.train_range = split.train;
    data.validation_range = split.validation;
  }
  data.identity = identity_of(options.data);
  return data;
}

std::vector<StudiedModel> open_models(const StudyOptions& options, const StudyData& data) {
  std::vector<StudiedModel> models;
  std::set<std::string> taken;
  for (const std::string& path : options.models) {
    models.push_back(open_model(path, &taken));
    try {
      check_fit(options, data, models.back().graph);
    } catch (const InternalError&) {
      throw;
    } catch (const Error& error) {  // which speaks of the data, or of a flag
      throw Error(error.code(), fmt::format("[{}] cannot be studied: {}", path, error.what()),
                  error.hint());
    }
  }
  return models;
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "serve/configured_model.h"

#include <algorithm>

#include "base/check.h"
#include "serve/log.h"

namespace batchwise::serve {
namespace {

std::string shape_text(std::span<const std::int64_t> dims) {
  return fmt::format("[{}]", fmt::join(dims.begin(), dims.end(), ", "));
}

// -1 stands for any size.
bool fits(std::span<const std::int64_t> stated, std::span<const std::int64_t> dims) {
  return std::equal(stated.begin(), stated.end(), dims.begin(), dims.end(),
                    [](std::int64_t a, std::int64_t b) { return a == -1 || b == -1 || a == b; });
}

// `batches`: dims are those of a sample.
void check_tensor(const std::string& path, std::string_view kind, const ConfiguredTensor& stated,
                  const std::vector<TensorSpec>& specs, bool batches) {
  const auto spec = std::find_if(specs.begin(), specs.end(), [&](const TensorSpec& candidate) {
    return candidate.name == stated.name;
  });
  if (spec == specs.end()) fail_input(path, "the model has no {} {}", kind, stated.name);
  if (stated.dtype != DType::kUndefined && stated.dtype != spec->dtype) {
    fail_input(path, "{} {} is stated as {}, the model has {}", kind, stated.name,
               dtype_name(stated.dtype), dtype_name(spec->dtype));
  }
  const auto dims = std::span(spec->shape).subspan(batches ? 1 : 0);
  if (!stated.dims.empty() && !fits(stated.dims, dims)) {
    fail_input(path, "{} {} is stated as {}, the model has {}", kind, stated.name,
               shape_text(stated.dims), shape_text(dims));
  }
}

void log_passed_over(const std::string& path, const ModelConfig& config) {
  const auto log = [&](std::string_view field) {
    log_event(LogLevel::kInfo, "config_ignored", {{"file", path}, {"field", field}});
  };
  for (const std::string& field : config.ignored) log(field);
  if (config.batching) log("dynamic_batching: --policy and its flags decide for all models");
  if (config.instances) log("instance_group: --instances are shared by all models");
  if (config.max_batch_rows == 0) {
    log("max_batch_size 0: requests are put together all the same, which changes no result");
  }
  if (config.versions.all || config.versions.latest > 1) {
    log("version_policy: the newest version is served");
  }
}

}  // namespace

ModelLimits apply_model_config(const std::string& path, const ModelInfo& model) {
  if (path.empty()) return {};
  const ModelConfig config = read_model_config(path);
  if (!config.name.empty() && config.name != model.name) {
    fail_input(path, "name {} in the folder {}", config.name, model.name);
  }
  const bool batches = config.max_batch_rows.value_or(0) > 0;
  for (const auto& input : config.inputs) {
    check_tensor(path, "input", input, model.inputs, batches);
  }
  for (const auto& output : config.outputs) {
    check_tensor(path, "output", output, model.outputs, batches);
  }
  log_passed_over(path, config);
  return {config.max_batch_rows.value_or(0)};
}

VersionChoice::VersionChoice(const std::string& path) {
  if (path.empty()) return;
  try {
    const ModelConfig config = read_model_config(path);
    model_file_ = config.model_file;
    specific_ = config.versions.specific;
  } catch (const Error&) {
    // plan_load() reads it again, and says what is wrong.
  }
}

bool VersionChoice::allows(std::int64_t version) const {
  return specific_.empty() ||
         std::find(specific_.begin(), specific_.end(), version) != specific_.end();
}

}  // namespace batchwise::serve

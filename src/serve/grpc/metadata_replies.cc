// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/metadata_replies.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <inference_proto/inference_service.pb.h>

#include "client/v2_types.h"
#include "serve/grpc/grpc_status.h"
#include "serve/server.h"

namespace batchwise::serve {
namespace {

constexpr Status kOk = Status::kOk;

Refusal ok() { return {kOk, {}, 0}; }

template <typename Tensors>
void fill_tensors(const std::vector<TensorSpec>& specs, Tensors& into) {
  for (const TensorSpec& spec : specs) {
    auto* tensor = into.Add();
    tensor->set_name(spec.name);
    tensor->set_datatype(std::string(v2_type_name(spec.dtype)));
    for (const std::int64_t size : spec.shape) tensor->add_shape(size);
  }
}

void fill_duration(const DurationSum& sum, inference::StatisticDuration& into) {
  into.set_count(static_cast<std::uint64_t>(sum.count));
  into.set_ns(static_cast<std::uint64_t>(sum.us * 1e3));
}

void fill_model_statistics(const ModelStatistics& model, inference::ModelStatistics& into) {
  into.set_name(model.name);
  into.set_version(model.version);
  into.set_last_inference(static_cast<std::uint64_t>(model.last_inference_ms));
  into.set_inference_count(static_cast<std::uint64_t>(model.inference_count));
  into.set_execution_count(static_cast<std::uint64_t>(model.execution_count));
  auto& sums = *into.mutable_inference_stats();
  fill_duration(model.success, *sums.mutable_success());
  fill_duration(model.fail, *sums.mutable_fail());
  fill_duration(model.queue, *sums.mutable_queue());
  fill_duration(model.compute_input, *sums.mutable_compute_input());
  fill_duration(model.compute_infer, *sums.mutable_compute_infer());
  fill_duration(model.compute_output, *sums.mutable_compute_output());
  sums.mutable_cache_hit();  // there is no cache: zero of each
  sums.mutable_cache_miss();
  for (const auto& [rows, batch] : model.batches) {
    auto* row = into.add_batch_stats();
    row->set_batch_size(static_cast<std::uint64_t>(rows));
    fill_duration(batch.compute_input, *row->mutable_compute_input());
    fill_duration(batch.compute_infer, *row->mutable_compute_infer());
    fill_duration(batch.compute_output, *row->mutable_compute_output());
  }
  auto* memory = into.add_memory_usage();
  memory->set_type("CPU");
  memory->set_byte_size(static_cast<std::uint64_t>(model.memory_bytes));
}

Refusal no_such_model(std::string_view name, std::string_view version) {
  return {Status::kNotFound,
          fmt::format("there is no model \"{}\"{}{}", shortened(name, 100),
                      version.empty() ? "" : " of version ", shortened(version, 40)),
          0};
}

}  // namespace

void fill_server_metadata(inference::ServerMetadataResponse& into) {
  into.set_name("batchwise");
  into.set_version(BATCHWISE_VERSION);
  for (const char* extension :
       {"schedule_policy", "model_configuration", "model_repository", "statistics"}) {
    into.add_extensions(extension);
  }
}

Refusal fill_model_metadata(const Server& server, std::string_view name, std::string_view version,
                            inference::ModelMetadataResponse& into) {
  Refusal why;
  const auto model = server.find_model(name, version, why);
  if (!model) return why;
  into.set_name(model->name);
  for (const IndexEntry& entry : server.index(true)) {
    if (entry.name == model->name) into.add_versions(entry.version);
  }
  if (into.versions_size() == 0) into.add_versions(model->version);
  into.set_platform("onnx_onnxv1");
  fill_tensors(model->inputs, *into.mutable_inputs());
  fill_tensors(model->outputs, *into.mutable_outputs());
  return ok();
}

Refusal fill_model_config(const Server& server, std::string_view name, std::string_view version,
                          inference::ModelConfigResponse& into) {
  const std::string json = server.config_json(name, version);
  if (json.empty()) return no_such_model(name, version);
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto status =
      google::protobuf::util::JsonStringToMessage(json, into.mutable_config(), options);
  if (status.ok()) return ok();
  return {Status::kInternal,
          fmt::format("the configuration of {} is no ModelConfig: {}", shortened(name, 100),
                      status.ToString()),
          0};
}

Refusal fill_statistics(const Server& server, std::string_view name, std::string_view version,
                        inference::ModelStatisticsResponse& into) {
  const auto models = server.statistics(name, version);
  if (models.empty() && !name.empty()) return no_such_model(name, version);
  for (const ModelStatistics& model : models) fill_model_statistics(model, *into.add_model_stats());
  return ok();
}

void fill_index(const Server& server, bool ready_only, inference::RepositoryIndexResponse& into) {
  for (const IndexEntry& entry : server.index(ready_only)) {
    auto* row = into.add_models();
    row->set_name(entry.name);
    row->set_version(entry.version);
    row->set_state(std::string(model_state_name(entry.state)));
    row->set_reason(entry.reason);
  }
}

Refusal read_load_config(const inference::RepositoryModelLoadRequest& request,
                         std::string& config) {
  for (const auto& [name, value] : request.parameters()) {
    if (name == "config" && value.has_string_param()) {
      config = value.string_param();
    } else if (name.rfind("file:", 0) == 0) {
      return {Status::kUnsupported,
              fmt::format("parameter \"{}\": models are loaded from the repository only",
                          shortened(name, 100)),
              0};
    } else {
      return {Status::kInvalid,
              fmt::format("parameter \"{}\" is unknown, or not a string", shortened(name, 100)), 0};
    }
  }
  return ok();
}

}  // namespace batchwise::serve

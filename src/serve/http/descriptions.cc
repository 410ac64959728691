// SPDX-License-Identifier: Apache-2.0
#include "serve/http/descriptions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>

#include "serve/http/datatype.h"
#include "serve/http/json_text.h"

namespace batchwise::serve {
namespace {

std::string quoted(std::string_view text) {
  std::string json;
  append_json_string(json, text);
  return json;
}

// `one` of each, between commas, in brackets.
template <typename Values, typename One>
std::string list(const Values& values, One&& one) {
  std::string json = "[";
  for (const auto& value : values) {
    if (json.size() > 1) json += ',';
    json += one(value);
  }
  return json + "]";
}

std::string tensor_json(const TensorSpec& spec) {
  return fmt::format(R"({{"name":{},"datatype":"{}","shape":[{}]}})", quoted(spec.name),
                     v2_datatype(spec.dtype), fmt::join(spec.shape, ","));
}

std::string duration_json(const DurationSum& duration) {
  return fmt::format(R"({{"count":{},"ns":{}}})", duration.count,
                     static_cast<std::int64_t>(duration.us * 1e3));
}

std::string durations_json(const ModelStatistics& model) {
  const std::string none = duration_json({});
  return fmt::format(R"({{"success":{},"fail":{},"queue":{},"compute_input":{},)"
                     R"("compute_infer":{},"compute_output":{},"cache_hit":{},"cache_miss":{}}})",
                     duration_json(model.success), duration_json(model.fail),
                     duration_json(model.queue), duration_json(model.compute_input),
                     duration_json(model.compute_infer), duration_json(model.compute_output), none,
                     none);
}

std::string batch_json(const std::pair<const std::int64_t, BatchStatistics>& batch) {
  return fmt::format(
      R"({{"batch_size":{},"compute_input":{},"compute_infer":{},"compute_output":{}}})",
      batch.first, duration_json(batch.second.compute_input),
      duration_json(batch.second.compute_infer), duration_json(batch.second.compute_output));
}

std::string model_statistics_json(const ModelStatistics& model) {
  return fmt::format(
      R"({{"name":{},"version":{},"last_inference":{},"inference_count":{},"execution_count":{},)"
      R"("inference_stats":{},"response_stats":{{}},"batch_stats":{},)"
      R"("memory_usage":[{{"type":"CPU","id":0,"byte_size":{}}}]}})",
      quoted(model.name), quoted(model.version), model.last_inference_ms, model.inference_count,
      model.execution_count, durations_json(model), list(model.batches, batch_json),
      model.memory_bytes);
}

std::string entry_json(const IndexEntry& entry) {
  return fmt::format(R"({{"name":{},"version":{},"state":"{}","reason":{}}})", quoted(entry.name),
                     quoted(entry.version), model_state_name(entry.state), quoted(entry.reason));
}

std::string_view tf_state(ModelState state) {
  switch (state) {
    case ModelState::kLoading:
      return "LOADING";
    case ModelState::kReady:
      return "AVAILABLE";
    case ModelState::kUnloading:
      return "UNLOADING";
    case ModelState::kUnavailable:
      return "END";
  }
  return "END";
}

std::string tf_version_json(const IndexEntry& entry) {
  const bool failed = entry.state == ModelState::kUnavailable && !entry.reason.empty();
  return fmt::format(
      R"({{"version":{},"state":"{}","status":{{"error_code":"{}","error_message":{}}}}})",
      quoted(entry.version), tf_state(entry.state), failed ? "UNKNOWN" : "OK",
      quoted(entry.reason));
}

std::string tf_dimension_json(std::int64_t size) {
  return fmt::format(R"({{"size":"{}","name":""}})", size);
}

std::string tf_tensors_json(const std::vector<TensorSpec>& specs) {
  std::string json = "{";
  for (const TensorSpec& spec : specs) {
    if (json.size() > 1) json += ',';
    fmt::format_to(
        std::back_inserter(json),
        R"({}:{{"dtype":"{}","tensor_shape":{{"dim":{},"unknown_rank":false}},"name":{}}})",
        quoted(spec.name), tf_datatype(spec.dtype), list(spec.shape, tf_dimension_json),
        quoted(spec.name));
  }
  return json + "}";
}

}  // namespace

std::string server_metadata_json() {
  return R"({"name":"batchwise","version":")" BATCHWISE_VERSION
         R"(","extensions":["binary_tensor_data","model_configuration","model_repository",)"
         R"("schedule_policy","statistics","logging"]})";
}

std::string model_metadata_json(const ModelInfo& model) {
  std::string classes;
  if (!model.class_names.empty()) classes = ",\"class_names\":" + list(model.class_names, quoted);
  return fmt::format(
      R"({{"name":{},"versions":[{}],"platform":"onnx_onnxv1","inputs":{},"outputs":{}{}}})",
      quoted(model.name), quoted(model.version), list(model.inputs, tensor_json),
      list(model.outputs, tensor_json), classes);
}

std::string statistics_json(const std::vector<ModelStatistics>& models) {
  return R"({"model_stats":)" + list(models, model_statistics_json) + "}";
}

std::string index_json(const std::vector<IndexEntry>& index) { return list(index, entry_json); }

std::string tf_status_json(const std::vector<IndexEntry>& index, std::string_view name,
                           std::string_view version) {
  std::vector<IndexEntry> found;
  for (const IndexEntry& entry : index) {
    if (entry.name == name && (version.empty() || version == entry.version)) found.push_back(entry);
  }
  if (found.empty()) return "";
  return R"({"model_version_status":)" + list(found, tf_version_json) + "}";
}

std::string tf_metadata_json(const ModelInfo& model) {
  return fmt::format(
      R"({{"model_spec":{{"name":{},"signature_name":"","version":{}}},"metadata":)"
      R"({{"signature_def":{{"signature_def":{{"serving_default":{{"inputs":{},"outputs":{},)"
      R"("method_name":"tensorflow/serving/predict"}}}}}}}}}})",
      quoted(model.name), quoted(model.version), tf_tensors_json(model.inputs),
      tf_tensors_json(model.outputs));
}

}  // namespace batchwise::serve

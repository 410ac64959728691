// SPDX-License-Identifier: Apache-2.0
#include "serve/config_json.h"

#include <nlohmann/json.hpp>

#include "batching/batch_sizes.h"

namespace batchwise::serve {
namespace {

using Json = nlohmann::ordered_json;

// Without the batch, as Triton gives the dimensions of models with one.
Json tensor_json(const TensorSpec& spec) {
  std::vector<std::int64_t> dims(spec.shape.begin() + 1, spec.shape.end());
  return Json{{"name", spec.name}, {"data_type", config_type_name(spec.dtype)}, {"dims", dims}};
}

Json tensors_json(const std::vector<TensorSpec>& specs) {
  Json list = Json::array();
  for (const TensorSpec& spec : specs) list.push_back(tensor_json(spec));
  return list;
}

}  // namespace

std::string_view config_type_name(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return "TYPE_BOOL";
    case DType::kUInt8:
      return "TYPE_UINT8";
    case DType::kUInt16:
      return "TYPE_UINT16";
    case DType::kUInt32:
      return "TYPE_UINT32";
    case DType::kUInt64:
      return "TYPE_UINT64";
    case DType::kInt8:
      return "TYPE_INT8";
    case DType::kInt16:
      return "TYPE_INT16";
    case DType::kInt32:
      return "TYPE_INT32";
    case DType::kInt64:
      return "TYPE_INT64";
    case DType::kFloat16:
      return "TYPE_FP16";
    case DType::kFloat32:
      return "TYPE_FP32";
    case DType::kFloat64:
      return "TYPE_FP64";
    case DType::kBFloat16:
      return "TYPE_BF16";
    case DType::kString:
      return "TYPE_STRING";
    default:
      return "";
  }
}

std::string model_config_json(const ModelVersion& version, int instances) {
  const Json config{
      {"name", version.name},
      {"platform", "onnxruntime_onnx"},
      {"backend", "onnxruntime"},
      {"default_model_filename", "model.onnx"},
      {"version_policy", {{"latest", {{"num_versions", 1}}}}},
      {"max_batch_size", version.max_batch_rows},
      {"input", tensors_json(version.inputs)},
      {"output", tensors_json(version.outputs)},
      {"instance_group",
       Json::array({{{"name", version.name + "_0"}, {"kind", "KIND_CPU"}, {"count", instances}}})},
      {"dynamic_batching", Json::object()},
  };
  return config.dump();
}

}  // namespace batchwise::serve

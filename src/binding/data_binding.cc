// SPDX-License-Identifier: Apache-2.0
#include "binding/data_binding.h"

#include <algorithm>

#include "base/check.h"

namespace batchwise {
namespace {

std::int64_t elements_of_sample(const Value& input) {
  return input.type.shape.elements() /
         std::max<std::int64_t>(1, input.batch.axis >= 0 ? input.type.shape[input.batch.axis] : 1);
}

std::string describe(const DataSource& data) {
  std::vector<std::string> parts;
  for (const FeatureInfo& feature : data.features()) {
    parts.push_back(feature.name + feature.shape.to_string());
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

int find_feature(const DataSource& data, const std::string& name) {
  for (std::size_t f = 0; f < data.features().size(); ++f) {
    if (data.features()[f].name == name) return static_cast<int>(f);
  }
  return -1;
}

}  // namespace

std::int64_t sample_bytes(const Graph& model, ValueId input) {
  const Value& value = model.value(input);
  return elements_of_sample(value) * static_cast<std::int64_t>(dtype_bytes(value.type.dtype));
}

DataBinding bind_data(const Graph& model, const DataSource& data) {
  DataBinding binding;
  for (ValueId id : model.inputs) {
    const int found = find_feature(data, model.value(id).name);
    if (found >= 0) binding.feature_of_input.push_back(found);
  }
  if (binding.feature_of_input.size() != model.inputs.size()) {
    if (data.features().size() != model.inputs.size()) {
      fail_input(data.path(), "has {} features ({}), the model {} inputs", data.features().size(),
                 describe(data), model.inputs.size());
    }
    binding.feature_of_input.clear();
    for (std::size_t i = 0; i < model.inputs.size(); ++i) {
      binding.feature_of_input.push_back(static_cast<int>(i));
    }
  }
  binding.feature_dtypes.assign(data.features().size(), DType::kFloat32);
  for (std::size_t i = 0; i < model.inputs.size(); ++i) {
    const Value& input = model.value(model.inputs[i]);
    const auto f = static_cast<std::size_t>(binding.feature_of_input[i]);
    const FeatureInfo& feature = data.features()[f];
    if (feature.shape.elements() != elements_of_sample(input)) {
      fail_input(data.path(), "a sample has {} values {}, the model's input '{}' takes {} {}",
                 feature.shape.elements(), feature.shape.to_string(), input.name,
                 elements_of_sample(input), input.type.shape.to_string());
    }
    binding.feature_dtypes[f] = input.type.dtype;
  }
  return binding;
}

}  // namespace batchwise

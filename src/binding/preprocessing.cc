// SPDX-License-Identifier: Apache-2.0
#include "binding/preprocessing.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/check.h"
#include "data/data_statistics.h"
#include "ops/builder.h"

namespace batchwise {
namespace {

constexpr const char* kMark = "batchwise.preprocessing";

std::vector<float> parse_numbers(const std::string& text, const std::string& whole) {
  std::vector<float> numbers;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(':', at), text.size());
    float value = 0;
    const auto [stop, error] = std::from_chars(text.data() + at, text.data() + end, value);
    if (error != std::errc() || stop != text.data() + end || !std::isfinite(value)) {
      fail_input("--normalize", "{} has no number at '{}' (channels are separated by ':')", whole,
                 text.substr(at, end - at));
    }
    numbers.push_back(value);
    at = end + 1;
  }
  return numbers;
}

// "mean=a:b:c,std=d:e:f"
Preprocessing parse_mean_std(const std::string& text) {
  const std::size_t comma = text.find(",std=");
  if (text.rfind("mean=", 0) != 0 || comma == std::string::npos) {
    fail_input("--normalize", "{} is unknown; there are none, 0..1, mean-std and mean=M,std=S",
               text);
  }
  Preprocessing result{text, parse_numbers(text.substr(5, comma - 5), text),
                       parse_numbers(text.substr(comma + 5), text)};
  for (float& deviation : result.scale) {
    if (!(deviation > 0)) fail_input("--normalize", "std {} is not above 0", deviation);
    deviation = 1 / deviation;
  }
  if (result.mean.size() != result.scale.size()) {
    fail_input("--normalize", "{} means and {} deviations", result.mean.size(),
               result.scale.size());
  }
  return result;
}

Preprocessing measure_mean_std(const DataSource& data, SampleRange range) {
  const ChannelStatistics statistics = channel_statistics(data, 0, range);
  Preprocessing result{"mean-std", {}, {}};
  for (std::size_t c = 0; c < statistics.std.size(); ++c) {
    if (statistics.std[c] == 0) {
      fail_input("--normalize", "channel {} is {} everywhere", c, statistics.mean[c]);
    }
    result.mean.push_back(static_cast<float>(statistics.mean[c]));
    result.scale.push_back(static_cast<float>(1 / statistics.std[c]));
  }
  return result;
}

Tensor channel_tensor(const std::vector<float>& values, int rank) {
  if (values.size() == 1) return Tensor::scalar(values[0]);
  std::vector<std::int64_t> dims(static_cast<std::size_t>(std::max(rank - 1, 1)), 1);
  dims[0] = static_cast<std::int64_t>(values.size());
  return Tensor::from(Shape(dims), values);
}

}  // namespace

Preprocessing choose_preprocessing(const std::string& normalize, const DataSource& data,
                                   SampleRange range) {
  const bool bytes = data.features().front().dtype == DType::kUInt8;
  const std::string wanted = normalize.empty() ? (bytes ? "0..1" : "none") : normalize;
  if (wanted == "none") return {};
  if (wanted == "0..1") return {"0..1", {0.0f}, {1.0f / 255.0f}};
  if (wanted == "mean-std") return measure_mean_std(data, range);
  return parse_mean_std(wanted);
}

std::string preprocessing_mark(const Graph& model) {
  const auto it = model.metadata.find(kMark);
  return it == model.metadata.end() ? "" : it->second;
}

void add_preprocessing(Graph& model, const Preprocessing& preprocessing) {
  if (preprocessing.name.empty()) return;
  if (!preprocessing_mark(model).empty()) {
    fail_input("--normalize", "the model already normalizes its input ({})",
               preprocessing_mark(model));
  }
  const ValueId input = model.inputs.front();
  const Shape shape = model.shape(input);
  const auto channels = static_cast<std::int64_t>(preprocessing.scale.size());
  if (model.type(input).dtype != DType::kFloat32) {
    fail_input("--normalize", "input '{}' is not float32", model.value(input).name);
  }
  if (channels > 1 && (shape.rank() < 2 || shape[1] != channels)) {
    fail_input("--normalize", "{} channels do not fit input {}", channels, shape.to_string());
  }
  const std::size_t first_new = model.nodes.size();
  GraphBuilder build(model);
  build.set_prefix("preprocessing.");
  ValueId value = input;
  if (std::any_of(preprocessing.mean.begin(), preprocessing.mean.end(),
                  [](float mean) { return mean != 0; })) {
    const ValueId mean =
        model.add_constant("preprocessing.mean", channel_tensor(preprocessing.mean, shape.rank()));
    value = build.op("Sub", {value, mean});
  }
  const ValueId scale =
      model.add_constant("preprocessing.scale", channel_tensor(preprocessing.scale, shape.rank()));
  value = build.op("Mul", {value, scale});
  // Everything that used the input uses the result, the new nodes aside.
  for (std::size_t n = 0; n < first_new; ++n) {
    auto& inputs = model.nodes[n].inputs;
    std::replace(inputs.begin(), inputs.end(), input, value);
  }
  sort_nodes(model);
  model.metadata[kMark] = preprocessing.name;
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "serve/request_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace batchwise::serve {
namespace {

Refusal invalid(std::string message) { return {Status::kInvalid, std::move(message), 0}; }

std::optional<Refusal> check_inputs(const InferenceRequest& request) {
  const ModelInfo& model = *request.model;
  for (std::size_t i = 0; i < model.inputs.size(); ++i) {
    const TensorSpec& spec = model.inputs[i];
    const auto is_this = [&](const RequestTensor& tensor) { return tensor.input == i; };
    const auto count = std::count_if(request.inputs.begin(), request.inputs.end(), is_this);
    if (count != 1) {
      return invalid(fmt::format("model {}: input {} is given {} times, not once", model.name,
                                 spec.name, count));
    }
    const auto tensor = std::find_if(request.inputs.begin(), request.inputs.end(), is_this);
    const std::int64_t wanted = request.rows * spec.row_bytes;
    if (static_cast<std::int64_t>(tensor->bytes.size()) != wanted) {
      return invalid(fmt::format("model {}: input {} has {} bytes, {} rows take {}", model.name,
                                 spec.name, tensor->bytes.size(), request.rows, wanted));
    }
  }
  if (request.inputs.size() == model.inputs.size()) return std::nullopt;
  return invalid(fmt::format("model {}: there are {} inputs, not {}", model.name,
                             model.inputs.size(), request.inputs.size()));
}

}  // namespace

std::optional<Refusal> check_request(const InferenceRequest& request) {
  const ModelInfo& model = *request.model;
  if (request.rows < 1) {
    return invalid(fmt::format("model {}: {} rows are below 1", model.name, request.rows));
  }
  if (request.rows > model.max_request_rows) {
    return Refusal{Status::kTooLarge,
                   fmt::format("model {}: {} rows are more than {}", model.name, request.rows,
                               model.max_request_rows),
                   0};
  }
  for (const std::size_t output : request.outputs) {
    if (output < model.outputs.size()) continue;
    return invalid(fmt::format("model {}: there is no output {}, there are {}", model.name, output,
                               model.outputs.size()));
  }
  return check_inputs(request);
}

RowsOrRefusal check_shape(const ModelInfo& model, const TensorSpec& spec,
                          std::span<const std::int64_t> shape) {
  bool fits = shape.size() == spec.shape.size() && !shape.empty() && shape[0] >= 1;
  for (std::size_t i = 1; fits && i < shape.size(); ++i) {
    fits = spec.shape[i] < 0 ? shape[i] >= 1 : shape[i] == spec.shape[i];
  }
  if (fits) return {shape[0], std::nullopt};
  return {0, invalid(fmt::format("model {}: input {} has the shape [{}], not [{}]", model.name,
                                 spec.name, fmt::join(shape, ", "), fmt::join(spec.shape, ", ")))};
}

}  // namespace batchwise::serve

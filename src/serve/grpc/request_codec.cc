// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/request_codec.h"

#include <fmt/format.h>
#include <inference_proto/inference_service.pb.h>

#include <algorithm>
#include <span>

#include "client/v2_types.h"
#include "serve/grpc/grpc_status.h"
#include "serve/grpc/request_parameters.h"
#include "serve/grpc/tensor_contents.h"
#include "serve/request_check.h"

namespace batchwise::serve {
namespace {

using inference::ModelInferRequest;

constexpr std::size_t kNameBytes = 100;  // of a client's name in a message

template <typename... Args>
Refusal invalid(fmt::format_string<Args...> format, Args&&... args) {
  return {Status::kInvalid, fmt::format(format, std::forward<Args>(args)...), 0};
}

// The index of the name among `specs`, or their number.
std::size_t find_spec(const std::vector<TensorSpec>& specs, const std::string& name) {
  const auto found = std::find_if(specs.begin(), specs.end(),
                                  [&](const TensorSpec& spec) { return spec.name == name; });
  return static_cast<std::size_t>(found - specs.begin());
}

std::optional<Refusal> check_type(const ModelInfo& model, const TensorSpec& spec,
                                  const std::string& datatype) {
  const std::string_view wanted = v2_type_name(spec.dtype);
  if (datatype == wanted && !wanted.empty()) return std::nullopt;
  return invalid("model {}: input {} has the datatype \"{}\", not {}", model.name, spec.name,
                 shortened(datatype, kNameBytes), wanted.empty() ? dtype_name(spec.dtype) : wanted);
}

std::optional<Refusal> check_rows(const ModelInfo& model, const TensorSpec& spec,
                                  std::span<const std::int64_t> shape, InferenceRequest& request) {
  if (shape.size() != spec.shape.size()) {
    return invalid("model {}: input {} has {} dimensions, not {}", model.name, spec.name,
                   shape.size(), spec.shape.size());
  }
  RowsOrRefusal rows = check_shape(model, spec, shape);
  if (rows.refusal) return std::move(rows.refusal);
  if (rows.rows > model.max_request_rows) {
    return Refusal{Status::kTooLarge,
                   fmt::format("model {}: {} rows are more than {}", model.name, rows.rows,
                               model.max_request_rows),
                   0};
  }
  if (!request.inputs.empty() && rows.rows != request.rows) {
    return invalid("model {}: input {} has {} rows, input {} has {}", model.name, spec.name,
                   rows.rows, model.inputs[request.inputs[0].input].name, request.rows);
  }
  request.rows = rows.rows;
  return std::nullopt;
}

std::optional<Refusal> decode_input(const ModelInferRequest& message, int index,
                                    std::vector<std::byte>& narrowed, InferenceRequest& request) {
  const auto& tensor = message.inputs(index);
  const ModelInfo& model = *request.model;
  RequestTensor into{find_spec(model.inputs, tensor.name()), {}};
  if (into.input == model.inputs.size()) {
    return invalid("model {}: there is no input \"{}\"", model.name,
                   shortened(tensor.name(), kNameBytes));
  }
  const TensorSpec& spec = model.inputs[into.input];
  if (auto refusal = check_type(model, spec, tensor.datatype())) return refusal;
  const std::span<const std::int64_t> shape(tensor.shape().data(),
                                            static_cast<std::size_t>(tensor.shape_size()));
  if (auto refusal = check_rows(model, spec, shape, request)) return refusal;
  if (message.raw_input_contents_size() == 0) {
    const ContentsTarget target{model.name, spec, request.rows};
    if (auto refusal = decode_contents(tensor.contents(), target, narrowed, into.bytes)) {
      return refusal;
    }
  } else if (tensor.has_contents()) {
    return invalid("model {}: input {} has contents beside raw_input_contents", model.name,
                   spec.name);
  } else {
    into.bytes = std::as_bytes(std::span(message.raw_input_contents(index)));
  }
  request.inputs.push_back(into);
  return std::nullopt;
}

std::optional<Refusal> decode_inputs(const ModelInferRequest& message, NarrowedContents& narrowed,
                                     InferenceRequest& request) {
  const ModelInfo& model = *request.model;
  const int raw = message.raw_input_contents_size();
  if (raw != 0 && raw != message.inputs_size()) {
    return invalid("model {}: {} raw_input_contents for {} inputs", model.name, raw,
                   message.inputs_size());
  }
  if (message.inputs_size() != static_cast<int>(model.inputs.size())) {
    return invalid("model {}: there are {} inputs, not {}", model.name, message.inputs_size(),
                   model.inputs.size());
  }
  narrowed.resize(model.inputs.size());
  for (int i = 0; i < message.inputs_size(); ++i) {
    auto refusal = decode_input(message, i, narrowed[static_cast<std::size_t>(i)], request);
    if (refusal) return refusal;
  }
  return std::nullopt;
}

std::optional<Refusal> decode_outputs(const ModelInferRequest& message, InferenceRequest& request) {
  const ModelInfo& model = *request.model;
  for (const auto& output : message.outputs()) {
    const std::size_t index = find_spec(model.outputs, output.name());
    if (index == model.outputs.size()) {
      return invalid("model {}: there is no output \"{}\"", model.name,
                     shortened(output.name(), kNameBytes));
    }
    const auto& asked = request.outputs;
    if (std::find(asked.begin(), asked.end(), index) != asked.end()) {
      return invalid("model {}: output {} is asked for twice", model.name, output.name());
    }
    request.outputs.push_back(index);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> decode_request(const ModelInferRequest& message, NarrowedContents& narrowed,
                                      InferenceRequest& request) {
  request.inputs.clear();
  request.outputs.clear();
  request.rows = 0;
  request.id = message.id();
  if (auto refusal = decode_parameters(message, request)) return refusal;
  if (auto refusal = decode_inputs(message, narrowed, request)) return refusal;
  if (auto refusal = decode_outputs(message, request)) return refusal;
  return check_request(request);
}

}  // namespace batchwise::serve

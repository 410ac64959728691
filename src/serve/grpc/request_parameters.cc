// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/request_parameters.h"

#include <fmt/format.h>
#include <inference_proto/inference_service.pb.h>

#include <limits>

#include "serve/grpc/grpc_status.h"

namespace batchwise::serve {
namespace {

using inference::InferParameter;

// A whole number from 0 to `most`; nothing for anything else.
std::optional<std::int64_t> whole_number(const InferParameter& value, std::int64_t most) {
  std::uint64_t number = 0;
  if (value.has_int64_param() && value.int64_param() >= 0) {
    number = static_cast<std::uint64_t>(value.int64_param());
  } else if (value.has_uint64_param()) {
    number = value.uint64_param();
  } else {
    return std::nullopt;
  }
  if (number > static_cast<std::uint64_t>(most)) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

// Clients send sequence_id 0, an empty one or false to say that there is no sequence.
bool says_none(const InferParameter& value) {
  switch (value.parameter_choice_case()) {
    case InferParameter::kBoolParam:
      return !value.bool_param();
    case InferParameter::kStringParam:
      return value.string_param().empty();
    case InferParameter::kInt64Param:
      return value.int64_param() == 0;
    case InferParameter::kUint64Param:
      return value.uint64_param() == 0;
    case InferParameter::kDoubleParam:
      return value.double_param() == 0;
    case InferParameter::PARAMETER_CHOICE_NOT_SET:
      return true;
  }
  return false;
}

Refusal not_a_number(std::string_view name, std::int64_t most) {
  return {Status::kInvalid, fmt::format("parameter {} is no whole number from 0 to {}", name, most),
          0};
}

using Parameters = google::protobuf::Map<std::string, InferParameter>;

std::optional<Refusal> check_tensor(const Parameters& parameters, const std::string& tensor) {
  for (const auto& [name, value] : parameters) {
    const bool is_refused =
        name.rfind("shared_memory", 0) == 0 || (name == "classification" && !says_none(value));
    if (!is_refused) continue;
    return Refusal{Status::kUnsupported,
                   fmt::format("tensor \"{}\": the parameter {} is not served",
                               shortened(tensor, 100), shortened(name, 40)),
                   0};
  }
  return std::nullopt;
}

template <typename Tensors>
std::optional<Refusal> check_tensors(const Tensors& tensors) {
  for (const auto& tensor : tensors) {
    if (auto refusal = check_tensor(tensor.parameters(), tensor.name())) return refusal;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> decode_parameters(const inference::ModelInferRequest& message,
                                         InferenceRequest& request) {
  request.timeout_us = 0;
  request.priority = 0;
  for (const auto& [name, value] : message.parameters()) {
    if (name == "timeout") {
      constexpr std::int64_t kMost = std::int64_t{1} << 52;  // a double holds it
      const auto timeout_us = whole_number(value, kMost);
      if (!timeout_us) return not_a_number(name, kMost);
      request.timeout_us = static_cast<double>(*timeout_us);
    } else if (name == "priority") {
      constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
      const auto priority = whole_number(value, kMost);
      if (!priority) return not_a_number(name, kMost);
      request.priority = static_cast<std::int32_t>(*priority);
    } else if (name.rfind("sequence_", 0) == 0 && !says_none(value)) {
      return Refusal{
          Status::kUnsupported,
          fmt::format("parameter {}: sequences of requests are not served", shortened(name, 40)),
          0};
    }
  }
  if (auto refusal = check_tensors(message.inputs())) return refusal;
  return check_tensors(message.outputs());
}

bool wants_final_flag(const inference::ModelInferRequest& message) {
  const auto found = message.parameters().find("triton_enable_empty_final_response");
  return found != message.parameters().end() && found->second.bool_param();
}

}  // namespace batchwise::serve

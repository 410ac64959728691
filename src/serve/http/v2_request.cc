// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "serve/http/datatype.h"
#include "serve/http/json_document.h"
#include "serve/http/json_values.h"
#include "serve/http/refuse.h"
#include "serve/http/v2_infer.h"
#include "serve/request_check.h"

namespace batchwise::serve {
namespace {

constexpr std::size_t kMostDimensions = 16;
constexpr std::size_t kAlignment = 16;

// An entry of "inputs" as it was read; texts lie in the parser or the body.
struct TensorFields {
  std::string_view name, datatype, data;
  std::array<std::int64_t, kMostDimensions> dimensions{};
  std::size_t rank = 0;
  bool has_shape = false;
  std::optional<std::uint64_t> binary_bytes;

  std::span<const std::int64_t> shape() const { return {dimensions.data(), rank}; }
};

void refuse_shared_memory(std::string_view key, std::string_view tensor) {
  if (!key.starts_with("shared_memory_")) return;
  refuse_invalid("{}: {}: there is no shared memory here, tensors come in the request", tensor,
                 key);
}

void read_shape(JsonValue value, TensorFields& fields) {
  fields.has_shape = true;
  for (auto size : value.get_array()) {
    if (fields.rank == kMostDimensions) {
      refuse_invalid("input {}: a shape of more than {} dimensions", fields.name, kMostDimensions);
    }
    fields.dimensions[fields.rank++] = size.get_int64();
  }
}

TensorFields read_input(JsonObject object) {
  TensorFields fields;
  for (auto field : object) {
    const std::string_view key = field.unescaped_key();
    if (key == "name") {
      fields.name = field.value().get_string();
    } else if (key == "datatype") {
      fields.datatype = field.value().get_string();
    } else if (key == "shape") {
      read_shape(field.value(), fields);
    } else if (key == "data") {
      fields.data = raw_json(field.value());
    } else if (key == "parameters") {
      for (auto parameter : field.value().get_object()) {
        const std::string_view name = parameter.unescaped_key();
        refuse_shared_memory(name, "inputs");
        if (name == "binary_data_size") fields.binary_bytes = parameter.value().get_uint64();
      }
    }
  }
  return fields;
}

class RequestReader {
 public:
  RequestReader(InferenceRequest& request, V2Exchange& exchange)
      : request_(request), exchange_(exchange), model_(*request.model) {}

  void read(std::string_view json, std::size_t readable, std::span<const std::byte> binary) {
    JsonDocument document(json, readable);
    for (auto field : document.object()) {
      const std::string_view key = field.unescaped_key();
      if (key == "id") {
        request_.id = std::string_view(field.value().get_string());
      } else if (key == "parameters") {
        for (auto parameter : field.value().get_object()) read_parameter(parameter);
      } else if (key == "inputs") {
        for (auto input : field.value().get_array()) add_input(read_input(input.get_object()));
      } else if (key == "outputs") {
        for (auto output : field.value().get_array()) read_output(output.get_object());
      }
    }
    document.expect_end();
    place_binary(binary);
    place_values();
    finish_outputs();
  }

 private:
  void read_parameter(JsonField& parameter) {
    const std::string_view key = parameter.unescaped_key();
    if (key == "timeout") {
      request_.timeout_us = static_cast<double>(std::uint64_t(parameter.value().get_uint64()));
    } else if (key == "priority") {
      const std::uint64_t priority = parameter.value().get_uint64();
      request_.priority = static_cast<std::int32_t>(std::min<std::uint64_t>(priority, INT32_MAX));
    } else if (key == "binary_data_output") {
      exchange_.binary_default = parameter.value().get_bool();
    } else if (key.starts_with("sequence_")) {
      refuse_invalid("{}: there are no sequences, each request is for itself", key);
    }
  }

  void add_input(const TensorFields& fields) {
    const TensorSpec& spec = spec_of(fields.name);
    const auto index = static_cast<std::size_t>(&spec - model_.inputs.data());
    for (const RequestTensor& earlier : request_.inputs) {
      if (earlier.input == index) refuse_invalid("input {} is given twice", spec.name);
    }
    if (fields.datatype != v2_datatype(spec.dtype)) {
      refuse_invalid("model {}: input {} has the datatype '{}', not {}", model_.name, spec.name,
                     fields.datatype, v2_datatype(spec.dtype));
    }
    if (!fields.has_shape) refuse_invalid("input {} has no shape", spec.name);
    const RowsOrRefusal checked = check_shape(model_, spec, fields.shape());
    if (checked.refusal) throw RefusedRequest{*checked.refusal};
    check_rows(checked.rows, spec);
    check_source(fields, spec);
    request_.inputs.push_back({index, {}});
    fields_[num_fields_++] = fields;
  }

  const TensorSpec& spec_of(std::string_view name) const {
    for (const TensorSpec& spec : model_.inputs) {
      if (spec.name == name) return spec;
    }
    std::string names;
    for (const TensorSpec& spec : model_.inputs) names += (names.empty() ? "" : ", ") + spec.name;
    refuse_invalid("model {}: there is no input '{}', but {}", model_.name, name, names);
  }

  void check_rows(std::int64_t rows, const TensorSpec& spec) {
    if (request_.inputs.empty()) {
      if (rows > model_.max_request_rows) {
        refuse(Status::kTooLarge, "model {}: {} rows are more than {}", model_.name, rows,
               model_.max_request_rows);
      }
      request_.rows = rows;
      fields_.resize(model_.inputs.size());
    }
    if (rows == request_.rows) return;
    refuse_invalid("input {} has {} rows, those before it {}", spec.name, rows, request_.rows);
  }

  void check_source(const TensorFields& fields, const TensorSpec& spec) const {
    const std::int64_t wanted = request_.rows * spec.row_bytes;
    const auto element = static_cast<std::int64_t>(dtype_bytes(spec.dtype));
    if (elements_of(fields.shape(), INT64_MAX) * element != wanted) {
      refuse_invalid("input {}: its rows have no fixed shape", spec.name);
    }
    if (fields.binary_bytes) {
      if (!fields.data.empty()) refuse_invalid("input {} has data and binary data", spec.name);
      if (*fields.binary_bytes == static_cast<std::uint64_t>(wanted)) return;
      refuse_invalid("input {}: binary_data_size is {}, its shape takes {}", spec.name,
                     *fields.binary_bytes, wanted);
    }
    if (fields.data.empty()) refuse_invalid("input {} has no data", spec.name);
    // Each value takes a character and a comma: nothing is allocated for what cannot be there.
    const std::int64_t elements = wanted / element;
    const auto most = static_cast<std::int64_t>(fields.data.size() / 2);
    if (elements <= most) return;
    refuse_invalid("input {}: its shape takes {} values, the data has at most {}", spec.name,
                   elements, most);
  }

  void place_binary(std::span<const std::byte> binary) {
    std::size_t used = 0;
    for (std::size_t i = 0; i < num_fields_; ++i) {
      if (!fields_[i].binary_bytes) continue;
      const auto bytes = static_cast<std::size_t>(*fields_[i].binary_bytes);
      if (bytes > binary.size() - used) {
        refuse_invalid("input {}: {} bytes of binary data are wanted, {} are left", fields_[i].name,
                       bytes, binary.size() - used);
      }
      request_.inputs[i].bytes = binary.subspan(used, bytes);
      used += bytes;
    }
    if (used == binary.size()) return;
    refuse_invalid("the body has {} bytes of binary data, the inputs take {}", binary.size(), used);
  }

  // Two rounds, since the values of one input must not move when those of the next are made room.
  void place_values() {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < num_fields_; ++i) {
      if (!fields_[i].binary_bytes) bytes += aligned(values_bytes(i));
    }
    exchange_.values.resize(std::max(exchange_.values.size(), bytes));
    std::size_t used = 0;
    for (std::size_t i = 0; i < num_fields_; ++i) {
      if (fields_[i].binary_bytes) continue;
      const TensorSpec& spec = model_.inputs[request_.inputs[i].input];
      std::byte* target = exchange_.values.data() + used;
      read_json_values(fields_[i].data, {spec.name, spec.dtype, fields_[i].shape()}, target);
      request_.inputs[i].bytes = {target, values_bytes(i)};
      used += aligned(values_bytes(i));
    }
  }

  std::size_t values_bytes(std::size_t i) const {
    const TensorSpec& spec = model_.inputs[request_.inputs[i].input];
    return static_cast<std::size_t>(request_.rows * spec.row_bytes);
  }
  static std::size_t aligned(std::size_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

  void read_output(JsonObject object) {
    std::string_view name;
    std::uint8_t binary = kAsDefault;
    for (auto field : object) {
      const std::string_view key = field.unescaped_key();
      if (key == "name") {
        name = field.value().get_string();
      } else if (key == "parameters") {
        for (auto parameter : field.value().get_object()) {
          const std::string_view what = parameter.unescaped_key();
          refuse_shared_memory(what, "outputs");
          if (what == "binary_data") binary = bool(parameter.value().get_bool()) ? 1 : 0;
          if (what != "classification") continue;
          if (std::int64_t(parameter.value().get_int64()) > 0) {
            refuse_invalid("classification is not done here: outputs are given as they are");
          }
        }
      }
    }
    add_output(name, binary);
  }

  void add_output(std::string_view name, std::uint8_t binary) {
    std::size_t index = 0;
    while (index < model_.outputs.size() && model_.outputs[index].name != name) ++index;
    if (index == model_.outputs.size()) {
      refuse_invalid("model {}: there is no output '{}'", model_.name, name);
    }
    for (const std::size_t earlier : request_.outputs) {
      if (earlier == index) refuse_invalid("output {} is asked for twice", name);
    }
    request_.outputs.push_back(index);
    exchange_.binary.push_back(binary);
  }

  // "parameters" may come after "outputs".
  void finish_outputs() {
    for (std::uint8_t& binary : exchange_.binary) {
      if (binary == kAsDefault) binary = exchange_.binary_default ? 1 : 0;
    }
  }

  static constexpr std::uint8_t kAsDefault = 2;
  InferenceRequest& request_;
  V2Exchange& exchange_;
  const ModelInfo& model_;
  std::vector<TensorFields> fields_;
  std::size_t num_fields_ = 0;
};

// The body is the one input's bytes, and all outputs come back so.
void read_raw(std::span<const std::byte> body, InferenceRequest& request, V2Exchange& exchange) {
  const ModelInfo& model = *request.model;
  if (model.inputs.size() != 1) {
    refuse_invalid("model {}: a raw body is for models of one input, this one has {}", model.name,
                   model.inputs.size());
  }
  const TensorSpec& spec = model.inputs[0];
  const auto bytes = static_cast<std::int64_t>(body.size());
  if (bytes == 0 || spec.row_bytes <= 0 || bytes % spec.row_bytes != 0) {
    refuse_invalid("model {}: the body has {} bytes, a row of input {} takes {}", model.name, bytes,
                   spec.name, spec.row_bytes);
  }
  request.rows = bytes / spec.row_bytes;
  request.inputs.push_back({0, body});
  exchange.binary_default = true;
}

void read_any(std::span<const std::byte> body, std::optional<std::uint64_t> inference_length,
              InferenceRequest& request, V2Exchange& exchange) {
  if (inference_length && *inference_length == 0) return read_raw(body, request, exchange);
  const std::uint64_t length = inference_length.value_or(body.size());
  if (length > body.size()) {
    refuse_invalid("Inference-Header-Content-Length is {}, the body has {} bytes", length,
                   body.size());
  }
  const auto json_bytes = static_cast<std::size_t>(length);
  const std::string_view json(reinterpret_cast<const char*>(body.data()), json_bytes);
  RequestReader(request, exchange).read(json, body.size() + kJsonPadding, body.subspan(json_bytes));
}

}  // namespace

std::optional<Refusal> read_v2_request(std::span<const std::byte> body,
                                       std::optional<std::uint64_t> inference_length,
                                       InferenceRequest& request, V2Exchange& exchange) {
  request.rows = 0;
  request.inputs.clear();
  request.outputs.clear();
  request.id.clear();
  request.timeout_us = 0;
  request.priority = 0;
  exchange.binary_default = false;
  exchange.binary.clear();
  return refusal_of([&] {
    read_any(body, inference_length, request, exchange);
    if (auto refusal = check_request(request)) throw RefusedRequest{*refusal};
  });
}

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#include <fmt/compile.h>
#include <fmt/format.h>

#include <iterator>
#include <utility>

#include "serve/http/datatype.h"
#include "serve/http/json_text.h"
#include "serve/http/v2_infer.h"

namespace batchwise::serve {
namespace {

constexpr std::string_view kBinaryType = "application/octet-stream";

void append_shape(std::string& text, const TensorSpec& spec, std::int64_t rows) {
  fmt::format_to(std::back_inserter(text), FMT_COMPILE("[{}"), rows);
  for (std::size_t i = 1; i < spec.shape.size(); ++i) {
    fmt::format_to(std::back_inserter(text), FMT_COMPILE(",{}"), spec.shape[i]);
  }
  text += ']';
}

void append_output(const TensorSpec& spec, std::span<const std::byte> bytes, std::int64_t rows,
                   bool binary, Response& response) {
  std::string& text = response.body;
  text += "{\"name\":";
  append_json_string(text, spec.name);
  text += ",\"datatype\":\"";
  text += v2_datatype(spec.dtype);
  text += "\",\"shape\":";
  append_shape(text, spec, rows);
  if (binary) {
    fmt::format_to(std::back_inserter(text),
                   FMT_COMPILE(",\"parameters\":{{\"binary_data_size\":{}}}"), bytes.size());
    if (!bytes.empty()) response.tail.push_back(bytes);
  } else {
    text += ",\"data\":[";
    append_json_values(text, spec.dtype, bytes);
    text += ']';
  }
  text += '}';
}

}  // namespace

void write_v2_response(const InferenceRequest& request, const V2Exchange& exchange, Reply&& reply,
                       Response& response) {
  const ModelInfo& model = *request.model;
  std::string& text = response.body;
  bool any_binary = false;
  text += "{\"model_name\":";
  append_json_string(text, model.name);
  text += ",\"model_version\":";
  append_json_string(text, model.version);
  if (!request.id.empty()) {
    text += ",\"id\":";
    append_json_string(text, request.id);
  }
  text += ",\"outputs\":[";
  for (std::size_t i = 0; i < reply.outputs.size(); ++i) {
    if (i > 0) text += ',';
    const std::size_t output = request.outputs.empty() ? i : request.outputs[i];
    const bool binary = exchange.binary.empty() ? exchange.binary_default : exchange.binary[i] != 0;
    any_binary |= binary;
    append_output(model.outputs[output], reply.outputs[i], reply.rows, binary, response);
  }
  text += "]}";
  if (!any_binary) return;
  response.content_type = kBinaryType;
  fmt::format_to(std::back_inserter(response.fields),
                 FMT_COMPILE("Inference-Header-Content-Length: {}\r\n"), text.size());
  response.memory = std::move(reply.memory);
}

}  // namespace batchwise::serve

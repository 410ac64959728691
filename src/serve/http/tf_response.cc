// SPDX-License-Identifier: Apache-2.0
#include "serve/http/json_text.h"
#include "serve/http/tf_predict.h"

namespace batchwise::serve {
namespace {

std::vector<std::int64_t> row_shape(const TensorSpec& spec) {
  return {spec.shape.begin() + 1, spec.shape.end()};
}

void append_row(std::string& text, const TensorSpec& spec, std::span<const std::byte> bytes,
                std::int64_t row) {
  const auto row_bytes = static_cast<std::size_t>(spec.row_bytes);
  append_json_array(text, spec.dtype,
                    bytes.subspan(static_cast<std::size_t>(row) * row_bytes, row_bytes),
                    row_shape(spec));
}

// Each row by itself: a value where there is one output, else an object of them.
void append_predictions(std::string& text, const ModelInfo& model, const Reply& reply) {
  text += "{\"predictions\":[";
  for (std::int64_t row = 0; row < reply.rows; ++row) {
    if (row > 0) text += ',';
    if (model.outputs.size() == 1) {
      append_row(text, model.outputs[0], reply.outputs[0], row);
      continue;
    }
    for (std::size_t i = 0; i < model.outputs.size(); ++i) {
      text += i == 0 ? '{' : ',';
      append_json_string(text, model.outputs[i].name);
      text += ':';
      append_row(text, model.outputs[i], reply.outputs[i], row);
    }
    text += '}';
  }
  text += "]}";
}

void append_column(std::string& text, const TensorSpec& spec, std::span<const std::byte> bytes,
                   std::int64_t rows) {
  std::vector<std::int64_t> shape = spec.shape;
  shape[0] = rows;
  append_json_array(text, spec.dtype, bytes, shape);
}

void append_outputs(std::string& text, const ModelInfo& model, const Reply& reply) {
  text += "{\"outputs\":";
  if (model.outputs.size() == 1) {
    append_column(text, model.outputs[0], reply.outputs[0], reply.rows);
  } else {
    for (std::size_t i = 0; i < model.outputs.size(); ++i) {
      text += i == 0 ? '{' : ',';
      append_json_string(text, model.outputs[i].name);
      text += ':';
      append_column(text, model.outputs[i], reply.outputs[i], reply.rows);
    }
    text += '}';
  }
  text += '}';
}

}  // namespace

void write_tf_response(const InferenceRequest& request, const TfExchange& exchange,
                       const Reply& reply, Response& response) {
  if (exchange.rows) {
    append_predictions(response.body, *request.model, reply);
  } else {
    append_outputs(response.body, *request.model, reply);
  }
}

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#include "serve/http/json_document.h"

namespace batchwise::serve {
namespace {

// Its room grows to that of the longest text; what a large one took is given back.
constexpr std::size_t kKeptBytes = 1 << 20;

std::unique_ptr<simdjson::ondemand::parser>& parser_of_thread() {
  thread_local std::unique_ptr<simdjson::ondemand::parser> parser;
  if (!parser) parser = std::make_unique<simdjson::ondemand::parser>();
  return parser;
}

}  // namespace

std::string_view raw_json(JsonValue value) {
  if (value.type() == simdjson::ondemand::json_type::array) {
    return simdjson::ondemand::array(value.get_array()).raw_json();
  }
  if (value.type() == simdjson::ondemand::json_type::object) {
    return simdjson::ondemand::object(value.get_object()).raw_json();
  }
  return value.raw_json_token();
}

JsonDocument::JsonDocument(std::string_view json, std::size_t readable) : bytes_(json.size()) {
  document_ = parser_of_thread()->iterate(simdjson::padded_string_view(json, readable));
}

JsonDocument::~JsonDocument() {
  if (bytes_ > kKeptBytes) parser_of_thread().reset();
}

JsonObject JsonDocument::object() { return document_.get_object(); }

void JsonDocument::expect_end() {
  const char* at = nullptr;
  const auto error = document_.current_location().get(at);
  if (error == simdjson::OUT_OF_BOUNDS) return;
  refuse_invalid("the JSON has text after its end");
}

}  // namespace batchwise::serve

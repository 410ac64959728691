// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <simdjson.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "serve/http/refuse.h"

// A JSON object of a request, read in one pass. For the few sources that read requests: nothing
// else includes simdjson.
namespace batchwise::serve {

using JsonObject = simdjson::ondemand::object;
using JsonValue = simdjson::ondemand::value;
using JsonField = simdjson::simdjson_result<simdjson::ondemand::field>;

inline constexpr std::size_t kJsonPadding = simdjson::SIMDJSON_PADDING;

// The text of a value, unread: what it holds is not checked but for brackets.
std::string_view raw_json(JsonValue value);

// At most one at a time in a thread: they share its parser.
class JsonDocument {
 public:
  // Requires: `readable` bytes from the begin of `json` on, kJsonPadding more than it has.
  JsonDocument(std::string_view json, std::size_t readable);
  ~JsonDocument();
  JsonDocument(const JsonDocument&) = delete;
  JsonDocument& operator=(const JsonDocument&) = delete;

  JsonObject object();
  // Refuses text after the object. Requires: all of it was read.
  void expect_end();

 private:
  std::size_t bytes_;
  simdjson::ondemand::document document_;
};

// Runs `body`, and gives what it refused, or what is wrong with the JSON.
template <typename Body>
std::optional<Refusal> refusal_of(Body&& body) {
  try {
    body();
    return std::nullopt;
  } catch (RefusedRequest& refused) {
    return std::move(refused.refusal);
  } catch (const simdjson::simdjson_error& error) {
    return Refusal{Status::kInvalid, fmt::format("the JSON: {}", error.what()), 0};
  }
}

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#include "serve/http/small_bodies.h"

#include "serve/http/json_document.h"

namespace batchwise::serve {
namespace {

// Calls `one` with each field of the body's object; no body is an empty object.
template <typename One>
std::optional<Refusal> for_each_field(std::span<const std::byte> body, One&& one) {
  if (body.empty()) return std::nullopt;
  return refusal_of([&] {
    const std::string_view json(reinterpret_cast<const char*>(body.data()), body.size());
    JsonDocument document(json, json.size() + kJsonPadding);
    for (auto field : document.object()) one(field);
    document.expect_end();
  });
}

}  // namespace

std::optional<Refusal> read_index_request(std::span<const std::byte> body, bool& ready_only) {
  return for_each_field(body, [&](JsonField& field) {
    const std::string_view key = field.unescaped_key();
    if (key == "ready") ready_only = field.value().get_bool();
  });
}

std::optional<Refusal> read_load_request(std::span<const std::byte> body, std::string& config) {
  return for_each_field(body, [&](JsonField& field) {
    const std::string_view key = field.unescaped_key();
    if (key != "parameters") return;
    for (auto parameter : field.value().get_object()) {
      const std::string_view name = parameter.unescaped_key();
      if (name == "config") {
        config = std::string_view(parameter.value().get_string());
      } else if (name.starts_with("file:")) {
        refuse_invalid("{}: models are loaded from the repository, not from the request", name);
      }
    }
  });
}

std::optional<Refusal> read_log_settings(std::span<const std::byte> body, LogSettings& settings) {
  return for_each_field(body, [&](JsonField& field) {
    const std::string_view key = field.unescaped_key();
    if (key == "log_info") {
      settings.info = bool(field.value().get_bool());
    } else if (key == "log_warning") {
      settings.warning = bool(field.value().get_bool());
    } else if (key == "log_error") {
      settings.error = bool(field.value().get_bool());
    } else if (key == "log_verbose_level") {
      settings.verbose_level = std::int64_t(field.value().get_int64());
    } else {
      refuse_invalid("{}: this setting of the log is fixed", key);
    }
  });
}

}  // namespace batchwise::serve

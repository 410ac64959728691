// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>

// The server's log: lines of an event and its fields, on standard error. Any thread may call it.
namespace batchwise::serve {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };
LogLevel parse_log_level(std::string_view name, std::string_view where);
void set_log_level(LogLevel level);
bool is_logged(LogLevel level);

// "rows", 7
struct LogField {
  template <typename T>
  LogField(std::string_view field_name, const T& field_value)
      : name(field_name), value(fmt::format("{}", field_value)) {}
  std::string_view name;
  std::string value;
};

// `event rows=7 model=mlp`; values with spaces or quotes are quoted.
void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

}  // namespace batchwise::serve

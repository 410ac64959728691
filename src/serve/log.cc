// SPDX-License-Identifier: Apache-2.0
#include "serve/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>

#include "base/check.h"

namespace batchwise::serve {
namespace {

constexpr std::array<std::string_view, 5> kLevels{"debug", "info", "warning", "error", "off"};

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> kLogger = [] {
    auto made = std::make_shared<spdlog::logger>("batchwise",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("time=%Y-%m-%dT%H:%M:%S.%e%z level=%l %v");
    made->set_level(spdlog::level::info);
    return made;
  }();
  return *kLogger;
}

// What clients sent may be in it: no line may look like two.
void append_value(std::string& line, std::string_view value) {
  const auto is_plain = [](char c) { return c > ' ' && c != '"' && c != '=' && c != '\\'; };
  bool plain = !value.empty();
  for (const char c : value) plain = plain && is_plain(c) && c != 127;
  if (plain) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') line += '\\';
    if ((c >= 0 && c < ' ') || c == 127) {
      line += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else {
      line += c;
    }
  }
  line += '"';
}

}  // namespace

LogLevel parse_log_level(std::string_view name, std::string_view where) {
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    if (kLevels[i] == name) return static_cast<LogLevel>(i);
  }
  fail_input(where, "{} is unknown; there are {}", name, fmt::join(kLevels, ", "));
}

void set_log_level(LogLevel level) { logger().set_level(level_of(level)); }
bool is_logged(LogLevel level) { return logger().should_log(level_of(level)); }

void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!is_logged(level)) return;
  std::string line = "event=";
  append_value(line, event);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.name;
    line += '=';
    append_value(line, field.value);
  }
  logger().log(level_of(level), spdlog::string_view_t(line));
}

}  // namespace batchwise::serve

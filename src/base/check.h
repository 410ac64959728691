// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "batchwise/error.h"

namespace batchwise {

[[noreturn]] void fail_check(const char* file, int line, const char* condition,
                             const std::string& message);

// Throws Error{kInvalidInput}: the user's model, data, flag or request is wrong. `where` is the op,
// command or file; the message carries the values.
template <typename... Args>
[[noreturn]] void fail_input(std::string_view where, fmt::format_string<Args...> format,
                             Args&&... args) {
  throw Error(ErrorCode::kInvalidInput,
              fmt::format("[{}] {}", where, fmt::format(format, std::forward<Args>(args)...)));
}

// Throws Error{kEnvironment}: a file, the disk or another process failed us.
template <typename... Args>
[[noreturn]] void fail_environment(std::string_view where, fmt::format_string<Args...> format,
                                   Args&&... args) {
  throw Error(ErrorCode::kEnvironment,
              fmt::format("[{}] {}", where, fmt::format(format, std::forward<Args>(args)...)));
}

}  // namespace batchwise

// Asserts something that only a bug of ours can break; kept in release builds.
// BW_CHECK(condition) or BW_CHECK(condition, "format {}", values...).
#define BW_CHECK(condition, ...) \
  (static_cast<bool>(condition)  \
       ? static_cast<void>(0)    \
       : ::batchwise::fail_check(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)))

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <span>
#include <string>

#include "serve/request.h"

// The bodies of requests that are no inference. All may be empty; all have 64 readable bytes after
// them.
namespace batchwise::serve {

// {"ready": bool} of the repository's index.
std::optional<Refusal> read_index_request(std::span<const std::byte> body, bool& ready_only);
// {"parameters": {"config": "..."}} of loading a model. Files in the request are refused.
std::optional<Refusal> read_load_request(std::span<const std::byte> body, std::string& config);

// The settings of the log, as far as they are known; those that are not are refused.
struct LogSettings {
  std::optional<bool> info, warning, error;
  std::optional<std::int64_t> verbose_level;
};
std::optional<Refusal> read_log_settings(std::span<const std::byte> body, LogSettings& settings);

}  // namespace batchwise::serve

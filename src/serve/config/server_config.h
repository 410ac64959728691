// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace batchwise::serve {

// A setting of a configuration file: a long flag of `serve` without its dashes, and its values as
// they would be typed. A plain value.
struct ConfigEntry {
  std::string flag;
  std::vector<std::string> values;  // none: a switch that is on
  int line = 0;
};

// Reads a TOML file whose keys are flags ("p99 = '20ms'", "policy = 'delay'", "api_keys = 'f'"; "_"
// and
// "-" are the same) and whose [[model]] tables name models ("name", "path"): they come as entries
// "model" with "NAME=PATH" or "PATH". A switch that is false is left out. Whether a flag exists,
// and takes such a value, is for the command line to say. Throws Error{kInvalidInput} naming
// `where` and the line.
std::vector<ConfigEntry> parse_server_config(std::string_view text, const std::string& where);
std::vector<ConfigEntry> read_server_config(const std::string& path);

}  // namespace batchwise::serve

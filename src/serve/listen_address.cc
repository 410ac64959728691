// SPDX-License-Identifier: Apache-2.0
#include "serve/listen_address.h"

#include <algorithm>
#include <charconv>
#include <fstream>

#include "base/check.h"

namespace batchwise::serve {

bool is_local_address(std::string_view address, std::string_view where) {
  if (address.starts_with("unix:")) {
    if (address.size() == 5) fail_input(where, "'{}' names no path", address);
    return true;
  }
  const std::size_t colon = address.rfind(':');
  int port = -1;
  if (colon != std::string_view::npos) {
    const char* const end = address.data() + address.size();
    const auto [stop, error] = std::from_chars(address.data() + colon + 1, end, port);
    if (error != std::errc() || stop != end) port = -1;
  }
  if (port < 0 || port > 65535) {
    fail_input(where, "'{}' is no address; write 127.0.0.1:8000 or unix:/path", address);
  }
  const std::string_view host = address.substr(0, colon);
  const bool is_number = host.find_first_not_of("0123456789.") == std::string_view::npos;
  return (is_number && host.starts_with("127.")) || host == "localhost" || host == "[::1]";
}

std::vector<std::string> read_api_keys(const std::string& path) {
  std::ifstream file(path);
  if (!file) fail_input(path, "cannot open the keys");
  std::vector<std::string> keys;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty() || line.front() == '#') continue;
    const bool fits =
        std::all_of(line.begin(), line.end(), [](char c) { return c > ' ' && c < 127; });
    if (!fits) fail_input(path, "line {}: a key has printed characters without spaces", number);
    keys.push_back(line);
  }
  if (keys.empty()) fail_input(path, "it has no key");
  return keys;
}

}  // namespace batchwise::serve

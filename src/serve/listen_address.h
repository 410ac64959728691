// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace batchwise::serve {

// True where only this machine can reach the address: "127.0.0.1:8000", "[::1]:8000",
// "localhost:8000", "unix:/path". Throws Error naming `where` for what is no address.
bool is_local_address(std::string_view address, std::string_view where);

// A file with a key a line; empty lines and lines that begin with # are passed over. Throws Error
// for a file that cannot be read, has no key, or one that a header cannot carry.
std::vector<std::string> read_api_keys(const std::string& path);

}  // namespace batchwise::serve

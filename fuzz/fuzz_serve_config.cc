// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "batchwise/error.h"
#include "serve/config/server_config.h"
#include "serve/config/triton_config.h"

// Both kinds of configuration, each from the same bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    batchwise::serve::parse_model_config(text, "config.pbtxt");
  } catch (const batchwise::Error& error) {
    if (error.code() != batchwise::ErrorCode::kInvalidInput) __builtin_trap();
  }
  try {
    batchwise::serve::parse_server_config(text, "serve.toml");
  } catch (const batchwise::Error& error) {
    if (error.code() != batchwise::ErrorCode::kInvalidInput) __builtin_trap();
  }
  return 0;
}

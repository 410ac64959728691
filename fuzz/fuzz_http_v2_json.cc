// SPDX-License-Identifier: Apache-2.0
#include "fuzz_http_bodies.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace batchwise::serve;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_and_answer_v2(fuzzed_model(), text, std::nullopt);
  read_and_answer_v2(fuzzed_single_model(), text, std::nullopt);
  return 0;
}

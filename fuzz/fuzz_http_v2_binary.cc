// SPDX-License-Identifier: Apache-2.0
#include "fuzz_http_bodies.h"

// The first two bytes are the length of the JSON.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace batchwise::serve;
  if (size < 2) return 0;
  const std::uint64_t length = data[0] + 256U * data[1];
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  read_and_answer_v2(fuzzed_model(), text, length);
  read_and_answer_v2(fuzzed_single_model(), text, length);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "fuzz_data.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const batchwise::FuzzFolder folder;
  const std::string path = folder.write("a.csv", data, size);
  for (const char* label : {"", "none", "b"}) batchwise::open_and_read(path, label);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "fuzz_data.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const batchwise::FuzzFolder folder;
  batchwise::open_and_read(folder.write("a.tar", data, size));
  return 0;
}

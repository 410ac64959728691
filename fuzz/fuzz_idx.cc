// SPDX-License-Identifier: Apache-2.0
#include "fuzz_data.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const batchwise::FuzzFolder folder;
  folder.write("t10k-labels-idx1-ubyte", data, size);
  folder.write("t10k-images-idx3-ubyte", data, size);
  batchwise::open_and_read(folder.path());
  return 0;
}

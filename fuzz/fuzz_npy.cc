// SPDX-License-Identifier: Apache-2.0
#include "fuzz_data.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const batchwise::FuzzFolder folder;
  const bool is_zip = size > 0 && data[0] == 'P';
  batchwise::open_and_read(folder.write(is_zip ? "a.npz" : "a.npy", data, size));
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "batching/batch_sizes.h"

namespace batchwise {

std::vector<std::int64_t> prepared_sizes(std::int64_t most) {
  std::vector<std::int64_t> sizes;
  std::int64_t step = 1;
  for (std::int64_t size = 1; size < most; size += step) {
    sizes.push_back(size);
    if (size >= 8 && (size & (size - 1)) == 0) step = size / 4;
  }
  sizes.push_back(most);
  return sizes;
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "base/heap.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <memory>

namespace batchwise {
namespace {

// The allocator is the oracle: it says what it gave, without the header of 8 bytes.
TEST(Heap, BlocksAreTheAllocators) {
  const std::unique_ptr<void, void (*)(void*)> smallest(std::malloc(1), std::free);
  if (malloc_usable_size(smallest.get()) == 1) GTEST_SKIP() << "a sanitizer's allocator";
  for (const std::size_t bytes : {1, 15, 24, 25, 40, 41, 100, 1000, 4096, 60'000}) {
    const std::unique_ptr<void, void (*)(void*)> block(std::malloc(bytes), std::free);
    EXPECT_EQ(heap_block_bytes(bytes),
              static_cast<std::int64_t>(malloc_usable_size(block.get())) + 8)
        << bytes;
  }
}

TEST(Heap, ShortStringsAndEmptyVectorsTakeNone) {
  EXPECT_EQ(heap_bytes(std::string("fifteen letters")), 0);
  EXPECT_EQ(heap_bytes(std::string(16, 'x')), 32);
  EXPECT_EQ(heap_bytes(std::vector<int>()), 0);
  EXPECT_EQ(heap_bytes(std::vector<int>(10)), 48);
}

}  // namespace
}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "base/mapped_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace batchwise {
namespace {

TEST(MappedBuffer, IsZeroedAndMoves) {
  MappedBuffer buffer(100'000);
  EXPECT_EQ(buffer.bytes(), 100'000);
  EXPECT_TRUE(std::all_of(buffer.data(), buffer.data() + buffer.bytes(),
                          [](std::byte b) { return b == std::byte{0}; }));
  buffer.data()[99'999] = std::byte{7};
  const MappedBuffer moved = std::move(buffer);
  EXPECT_EQ(moved.bytes(), 100'000);
  EXPECT_EQ(moved.data()[99'999], std::byte{7});
}

TEST(MappedBuffer, OfNothingIsNothing) { EXPECT_EQ(MappedBuffer(0).data(), nullptr); }

}  // namespace
}  // namespace batchwise

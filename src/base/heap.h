// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace batchwise {

// What plans count of the heap: blocks as the C library's allocator rounds them.
constexpr std::int64_t heap_block_bytes(std::size_t bytes) {
  constexpr std::size_t kHeader = 8, kStep = 16, kLeast = 32;
  if (bytes == 0) return 0;
  const std::size_t block = (bytes + kHeader + kStep - 1) / kStep * kStep;
  return static_cast<std::int64_t>(block < kLeast ? kLeast : block);
}

template <typename T>
std::int64_t heap_bytes(const std::vector<T>& vector) {
  return heap_block_bytes(vector.capacity() * sizeof(T));
}

inline std::int64_t heap_bytes(const std::string& text) {
  constexpr std::size_t kInside = 15;  // characters that a string holds without a block
  return text.capacity() > kInside ? heap_block_bytes(text.capacity() + 1) : 0;
}

// Gives the free pages of the heap back to the system: after planning, before what was planned is
// taken. Takes about a millisecond.
void return_free_heap();

}  // namespace batchwise

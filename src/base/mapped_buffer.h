// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

namespace batchwise {

// Zeroed memory straight from the system, given back when it goes: what a plan counted is what the
// process takes, and what is freed is free. It starts on a page. Throws Error{kEnvironment}.
class MappedBuffer {
 public:
  MappedBuffer() = default;
  explicit MappedBuffer(std::int64_t bytes);
  ~MappedBuffer();
  MappedBuffer(MappedBuffer&& other) noexcept { *this = static_cast<MappedBuffer&&>(other); }
  MappedBuffer& operator=(MappedBuffer&& other) noexcept;
  std::byte* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

}  // namespace batchwise

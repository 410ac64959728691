// SPDX-License-Identifier: Apache-2.0
#include "base/mapped_buffer.h"

#include <sys/mman.h>

#include <utility>

#include "base/check.h"

namespace batchwise {

MappedBuffer::MappedBuffer(std::int64_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  void* place = mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (place == MAP_FAILED) fail_environment("memory", "cannot map {} bytes", bytes);
  data_ = static_cast<std::byte*>(place);
#ifdef MADV_HUGEPAGE
  // Weights are read from end to end, where a small page costs a look-up every 4 KiB. Large pages
  // are used only where all of one lies in the range, so no more is taken than was asked for; a
  // system that has none goes on without.
  madvise(place, static_cast<std::size_t>(bytes), MADV_HUGEPAGE);
#endif
}

MappedBuffer::~MappedBuffer() {
  if (data_ != nullptr) munmap(data_, static_cast<std::size_t>(bytes_));
}

MappedBuffer& MappedBuffer::operator=(MappedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace batchwise

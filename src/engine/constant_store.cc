// SPDX-License-Identifier: Apache-2.0
#include "engine/constant_store.h"

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
}

MappedBuffer::~MappedBuffer() {
  if (data_ != nullptr) munmap(data_, static_cast<std::size_t>(bytes_));
}

MappedBuffer& MappedBuffer::operator=(MappedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

const std::byte* ConstantStore::get(const std::string& key, std::int64_t bytes, const Make& make) {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(key);
  if (it != entries_.end()) {
    BW_CHECK(it->second.bytes() == bytes, "{}: {} and {} bytes", key, it->second.bytes(), bytes);
    return it->second.data();
  }
  MappedBuffer buffer(bytes);
  make(buffer.data());
  return entries_.emplace(key, std::move(buffer)).first->second.data();
}

std::int64_t ConstantStore::total_bytes() const {
  const std::lock_guard lock(mutex_);
  std::int64_t total = 0;
  for (const auto& [key, buffer] : entries_) total += buffer.bytes();
  return total;
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "engine/constant_store.h"

#include "base/check.h"

namespace batchwise {

namespace {

constexpr std::int64_t kSmallBytes = 16 << 10, kSlabBytes = 64 << 10, kAlignment = 64;

}  // namespace

std::byte* ConstantStore::reserve(std::int64_t bytes) {
  if (bytes > kSmallBytes) return buffers_.emplace_back(bytes).data();
  const std::int64_t aligned = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (aligned > slab_left_) {
    slab_ = buffers_.emplace_back(kSlabBytes).data();
    slab_left_ = kSlabBytes;
  }
  std::byte* place = slab_;
  slab_ += aligned;
  slab_left_ -= aligned;
  return place;
}

const std::byte* ConstantStore::get(const std::string& key, std::int64_t bytes, const Make& make) {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(key);
  if (it != entries_.end()) {
    BW_CHECK(it->second.bytes == bytes, "{}: {} and {} bytes", key, it->second.bytes, bytes);
    return it->second.data;
  }
  std::byte* place = reserve(bytes);
  make(place);
  entries_.emplace(key, Entry{place, bytes});
  return place;
}

std::int64_t ConstantStore::total_bytes() const {
  const std::lock_guard lock(mutex_);
  std::int64_t total = 0;
  for (const auto& [key, entry] : entries_) total += entry.bytes;
  return total;
}

}  // namespace batchwise

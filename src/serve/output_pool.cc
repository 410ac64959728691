// SPDX-License-Identifier: Apache-2.0
#include "serve/output_pool.h"

#include <algorithm>
#include <new>

namespace batchwise::serve {
namespace {

constexpr std::align_val_t kAlignment{64};

std::byte* allocate(std::int64_t bytes) {
  return static_cast<std::byte*>(::operator new(static_cast<std::size_t>(bytes), kAlignment));
}
void deallocate(std::byte* buffer) { ::operator delete(buffer, kAlignment); }

}  // namespace

OutputPool::OutputPool(std::int64_t buffer_bytes, std::int64_t limit_bytes)
    : buffer_bytes_(std::max<std::int64_t>(buffer_bytes, 1)), limit_bytes_(limit_bytes) {}

OutputPool::~OutputPool() {
  for (std::byte* buffer : free_) deallocate(buffer);
}

std::shared_ptr<std::byte> OutputPool::acquire(std::int64_t bytes) {
  const std::int64_t taken = std::max(bytes, buffer_bytes_);
  std::byte* buffer = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (taken == buffer_bytes_ && !free_.empty()) {
      buffer = free_.back();
      free_.pop_back();
    } else {
      // Free buffers make room for a large one.
      while (held_bytes_ + taken > limit_bytes_ && !free_.empty()) {
        deallocate(free_.back());
        free_.pop_back();
        held_bytes_ -= buffer_bytes_;
      }
      if (held_bytes_ + taken > limit_bytes_) return nullptr;
      buffer = allocate(taken);
      held_bytes_ += taken;
    }
  }
  return {buffer, Return{shared_from_this(), taken}};
}

void OutputPool::release(std::byte* buffer, std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes == buffer_bytes_) {
    free_.push_back(buffer);
    return;
  }
  deallocate(buffer);
  held_bytes_ -= bytes;
}

std::int64_t OutputPool::held_bytes() const {
  const std::lock_guard lock(mutex_);
  return held_bytes_;
}

}  // namespace batchwise::serve

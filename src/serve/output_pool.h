// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace batchwise::serve {

// Memory that batches write their outputs to and replies are read from: it comes back when the last
// reply of a batch has been written. Never more than its limit, whatever clients do. Thread-safe;
// buffers keep the pool alive.
class OutputPool : public std::enable_shared_from_this<OutputPool> {
 public:
  // Buffers of `buffer_bytes` are kept for the next batch; others are given back to the system.
  OutputPool(std::int64_t buffer_bytes, std::int64_t limit_bytes);
  ~OutputPool();
  OutputPool(const OutputPool&) = delete;
  OutputPool& operator=(const OutputPool&) = delete;

  // Aligned to a cache line, not cleared. Null where the limit is reached.
  std::shared_ptr<std::byte> acquire(std::int64_t bytes);
  std::int64_t limit_bytes() const { return limit_bytes_; }
  std::int64_t held_bytes() const;

 private:
  struct Return {
    std::shared_ptr<OutputPool> pool;
    std::int64_t bytes;
    void operator()(std::byte* buffer) const { pool->release(buffer, bytes); }
  };
  void release(std::byte* buffer, std::int64_t bytes);

  const std::int64_t buffer_bytes_, limit_bytes_;
  mutable std::mutex mutex_;
  std::vector<std::byte*> free_;  // guarded by mutex_; of buffer_bytes_ each
  std::int64_t held_bytes_ = 0;   // guarded by mutex_; in use or free
};

}  // namespace batchwise::serve

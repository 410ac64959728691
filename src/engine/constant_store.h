// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backend/kernel.h"
#include "base/mapped_buffer.h"
#include "graph/graph.h"

namespace batchwise {

// The constants of one model as its programs use them: dense, or packed for a kernel; each made
// once and shared by all programs. Thread-safe. Entries live as long as the store. Small ones lie
// together in slabs, as a page each would be more than was planned.
class ConstantStore {
 public:
  using Make = std::function<void(std::byte* target)>;
  // The entry of that key, made on first use by filling `bytes` zeroed bytes.
  const std::byte* get(const std::string& key, std::int64_t bytes, const Make& make);
  std::int64_t total_bytes() const;

 private:
  struct Entry {
    const std::byte* data;
    std::int64_t bytes;
  };
  std::byte* reserve(std::int64_t bytes);

  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::map<std::string, Entry> entries_;
  std::vector<MappedBuffer> buffers_;
  std::byte* slab_ = nullptr;  // where the next small entry goes
  std::int64_t slab_left_ = 0;
};

}  // namespace batchwise

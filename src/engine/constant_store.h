// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "backend/kernel.h"
#include "graph/graph.h"

namespace batchwise {

// Zeroed memory straight from the system, given back when it goes: what a plan counted is what the
// process takes, and what is freed is free.
class MappedBuffer {
 public:
  MappedBuffer() = default;
  explicit MappedBuffer(std::int64_t bytes);
  ~MappedBuffer();
  MappedBuffer(MappedBuffer&& other) noexcept { *this = std::move(other); }
  MappedBuffer& operator=(MappedBuffer&& other) noexcept;
  std::byte* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

// The constants of one model as its programs use them: dense, or packed for a kernel; each made
// once and shared by all programs. Thread-safe. Entries live as long as the store.
class ConstantStore {
 public:
  using Make = std::function<void(std::byte* target)>;
  // The entry of that key, made on first use by filling `bytes` zeroed bytes.
  const std::byte* get(const std::string& key, std::int64_t bytes, const Make& make);
  std::int64_t total_bytes() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, MappedBuffer> entries_;  // guarded by mutex_
};

}  // namespace batchwise

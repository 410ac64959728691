// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <memory>
#include <string>

#include "engine/constant_store.h"
#include "tensor/tensor.h"

namespace batchwise {

// Named memory that lives as long as a training: sizes are announced first, then everything is
// mapped at once, each state 64-byte aligned, in the order of announcement. Not thread-safe.
class StateStore {
 public:
  // Announces a state; a name announced before keeps its place. Requires: not yet mapped.
  void add(const std::string& name, std::int64_t bytes);
  void map();
  // Requires: mapped, announced.
  std::byte* data(const std::string& name) const;
  bool has(const std::string& name) const { return rows_.count(name) != 0; }
  std::int64_t bytes(const std::string& name) const { return rows_.at(name).bytes; }
  // Of all states, with their alignment.
  std::int64_t total_bytes() const { return total_bytes_; }
  std::byte* begin() const { return memory_ ? memory_->buffer.data() : nullptr; }
  // A float32 state as a tensor that keeps the memory alive; it shows later changes.
  Tensor tensor(const std::string& name, Shape shape) const;

 private:
  struct Row {
    std::int64_t offset, bytes;
  };
  std::map<std::string, Row> rows_;
  std::int64_t total_bytes_ = 0;
  struct Memory : Storage {
    explicit Memory(std::int64_t size) : buffer(size) {}
    const std::byte* data() const override { return buffer.data(); }
    std::size_t bytes() const override { return static_cast<std::size_t>(buffer.bytes()); }
    MappedBuffer buffer;
  };
  std::shared_ptr<const Memory> memory_;
};

}  // namespace batchwise

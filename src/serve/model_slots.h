// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace batchwise::serve {

// The small numbers by which the queue knows versions of models. A number is given out again when
// the version that had it is gone, so that the tables they index stay small. Thread-safe.
class ModelSlots {
 public:
  std::int32_t take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return count_++;
    const std::int32_t slot = free_.back();
    free_.pop_back();
    return slot;
  }
  void give_back(std::int32_t slot) {
    {
      const std::lock_guard lock(mutex_);
      free_.push_back(slot);
    }
    given_back_.fetch_add(1);
  }
  // Grows whenever a version has gone.
  std::int64_t given_back() const { return given_back_.load(); }

 private:
  std::mutex mutex_;
  std::vector<std::int32_t> free_;  // guarded by mutex_
  std::int32_t count_ = 0;          // guarded by mutex_
  std::atomic<std::int64_t> given_back_{0};
};

// A slot for as long as this lives. Moves.
class SlotLease {
 public:
  explicit SlotLease(std::shared_ptr<ModelSlots> slots)
      : slots_(std::move(slots)), number_(slots_->take()) {}
  ~SlotLease() {
    if (slots_) slots_->give_back(number_);
  }
  SlotLease(SlotLease&& other) noexcept : slots_(std::move(other.slots_)), number_(other.number_) {}
  SlotLease& operator=(SlotLease&&) = delete;

  std::int32_t number() const { return number_; }

 private:
  std::shared_ptr<ModelSlots> slots_;
  std::int32_t number_;
};

}  // namespace batchwise::serve

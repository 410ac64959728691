// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>

namespace batchwise::serve {

// The bytes that came on a connection and were not used yet. Behind them there is always room that
// JSON's readers may look at. Memory grows without being touched, and large blocks without a copy.
class InputBuffer {
 public:
  static constexpr std::size_t kPadding = 64;
  static constexpr std::size_t kSmallBytes = 4096;

  std::span<const std::byte> pending() const { return {data_.get() + begin_, end_ - begin_}; }
  // Where the next bytes go.
  std::span<std::byte> room() {
    if (capacity_ == 0) resize(kSmallBytes);
    return {data_.get() + end_, capacity_ - kPadding - end_};
  }
  void add(std::size_t bytes) { end_ += bytes; }
  void consume(std::size_t bytes) { begin_ += bytes; }
  std::size_t capacity() const { return capacity_; }

  // The rest may move what is pending: nothing may point into it, and no read may go on.
  void move_to_front() {
    if (begin_ == 0) return;
    std::memmove(data_.get(), data_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  // Makes room for `bytes` more.
  void reserve(std::size_t bytes) {
    if (end_ + bytes + kPadding > capacity_) resize(end_ + bytes + kPadding);
  }
  void shrink() {
    move_to_front();
    const std::size_t wanted = std::max(kSmallBytes, end_ + kPadding);
    if (wanted < capacity_) resize(wanted);
  }
  void clear() { begin_ = end_ = 0; }

 private:
  struct Free {
    void operator()(std::byte* data) const { std::free(data); }
  };

  void resize(std::size_t bytes) {
    void* data = std::realloc(data_.get(), bytes);
    if (data == nullptr) throw std::bad_alloc();
    static_cast<void>(data_.release());
    data_.reset(static_cast<std::byte*>(data));
    capacity_ = bytes;
  }

  std::unique_ptr<std::byte, Free> data_;
  std::size_t capacity_ = 0, begin_ = 0, end_ = 0;
};

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "serve/http/message.h"

namespace batchwise::serve {

// Cuts what a client sends into requests. It is given bytes as they come, and keeps no pointer into
// them. Not thread-safe; used again for each request of a connection.
class MessageReader {
 public:
  enum class State : std::uint8_t {
    kHead,    // the head is not whole
    kBody,    // head().content_length bytes follow, which the caller takes as they are
    kChunks,  // a body in chunks goes on
    kDone,    // whole: without a body, or with chunks()
    kWrong,   // fault() is the answer, and the connection ends
  };

  explicit MessageReader(std::int64_t max_body_bytes);
  ~MessageReader();
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;

  // Begins the next request.
  void restart();
  // Takes bytes of the head or of chunks; returns how many. Those left belong to the body or the
  // next request.
  std::size_t take(std::span<const std::byte> bytes);

  State state() const { return state_; }
  bool has_begun() const { return has_begun_; }
  const RequestHead& head() const { return head_; }
  // The body that came in chunks, with the room after it that JSON needs.
  std::span<const std::byte> chunks() const;

  int fault_status() const { return fault_status_; }
  const std::string& fault() const { return fault_; }

 private:
  class Parser;
  void take_head();
  void fail(int status, std::string message);

  const std::int64_t max_body_bytes_;
  std::unique_ptr<Parser> parser_;
  RequestHead head_;
  std::vector<std::byte> chunks_;
  State state_ = State::kHead;
  bool has_begun_ = false;
  int fault_status_ = 0;
  std::string fault_;
};

}  // namespace batchwise::serve

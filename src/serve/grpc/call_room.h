// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "serve/grpc/request_codec.h"

namespace batchwise::serve {

// What one inference needs beside itself: messages, whose memory is used again.
struct CallRoom {
  CallRoom();
  ~CallRoom();
  std::unique_ptr<inference::ModelInferRequest> message;
  std::unique_ptr<inference::ModelInferResponse> response;
  NarrowedContents narrowed;
  EncodedReply encoded;
  std::size_t message_bytes = 0;  // as they came
};

// Rooms that wait for the next call. Any thread may call it.
class CallRooms {
 public:
  std::unique_ptr<CallRoom> take();
  // Rooms of large messages are not kept, so that what waits is bounded.
  void give_back(std::unique_ptr<CallRoom> room);

 private:
  static constexpr std::size_t kMostRooms = 256;
  static constexpr std::size_t kMostBytes = 64 << 10;
  std::mutex mutex_;
  std::vector<std::unique_ptr<CallRoom>> rooms_;
};

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/call_room.h"

#include <inference_proto/inference_service.pb.h>

namespace batchwise::serve {

CallRoom::CallRoom()
    : message(std::make_unique<inference::ModelInferRequest>()),
      response(std::make_unique<inference::ModelInferResponse>()) {}
CallRoom::~CallRoom() = default;

std::unique_ptr<CallRoom> CallRooms::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!rooms_.empty()) {
      auto room = std::move(rooms_.back());
      rooms_.pop_back();
      return room;
    }
  }
  return std::make_unique<CallRoom>();
}

void CallRooms::give_back(std::unique_ptr<CallRoom> room) {
  if (!room || room->message_bytes > kMostBytes) return;
  const std::lock_guard lock(mutex_);
  if (rooms_.size() < kMostRooms) rooms_.push_back(std::move(room));
}

}  // namespace batchwise::serve

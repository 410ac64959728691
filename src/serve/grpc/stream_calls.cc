// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/stream_calls.h"

#include <vector>

namespace batchwise::serve {

void StreamCalls::add(const std::shared_ptr<OpenStream>& stream) {
  const std::lock_guard lock(mutex_);
  open_[stream.get()] = stream;
}

void StreamCalls::remove(OpenStream& stream) {
  const std::lock_guard lock(mutex_);
  open_.erase(&stream);
}

void StreamCalls::stop_all() {
  std::vector<std::shared_ptr<OpenStream>> streams;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, stream] : open_) {
      if (auto alive = stream.lock()) streams.push_back(std::move(alive));
    }
  }
  for (const auto& stream : streams) stream->stop();
}

}  // namespace batchwise::serve

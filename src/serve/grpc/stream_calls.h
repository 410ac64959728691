// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <memory>
#include <mutex>

namespace batchwise::serve {

class OpenStream {
 public:
  virtual ~OpenStream() = default;
  // No more requests: what was taken is answered, then the stream ends. Any thread.
  virtual void stop() = 0;
};

// The streams that are open, so that they can be asked to end. Any thread may call it.
class StreamCalls {
 public:
  void add(const std::shared_ptr<OpenStream>& stream);
  void remove(OpenStream& stream);
  // A stream may end, and be removed, while it is asked to.
  void stop_all();

 private:
  std::mutex mutex_;
  std::map<OpenStream*, std::weak_ptr<OpenStream>> open_;
};

}  // namespace batchwise::serve

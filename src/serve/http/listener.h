// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "serve/http/io_thread.h"

namespace batchwise::serve {

// A listening socket: "host:port", "[::1]:port" or "unix:/path".
class Listener {
 public:
  // Throws Error{kInvalidInput} for an address that is none, Error{kEnvironment} for one that
  // cannot be had.
  explicit Listener(const std::string& address);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // As it was given, with the port that it got.
  const std::string& address() const { return address_; }
  // Calls `accepted` on the thread with each socket, which is the callee's from then on.
  void start(IoThread& thread, std::function<void(int socket)> accepted);
  // Refuses new clients from now on. To be called once, after start().
  void stop();

 private:
  struct Acceptor;
  std::string address_, unlinked_path_;
  int socket_ = -1;
  IoThread* thread_ = nullptr;
  std::shared_ptr<Acceptor> acceptor_;
};

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "serve/http/exchange.h"
#include "serve/server.h"

namespace batchwise::serve {

// What each path answers. Knows the server, and nothing of sockets. Thread-safe.
class Api {
 public:
  Api(Server& server, std::vector<std::string> api_keys, bool dashboard);

  // Looks at a head before its body was read: false where response is already the answer.
  bool admits(Exchange& exchange) const;
  // Answers a whole request. False: reply() will be called, or was, and finish() has to follow.
  bool start(const std::shared_ptr<Exchange>& exchange);
  void finish(Exchange& exchange) const;

  std::atomic<std::int64_t> connections{0};  // that are open
  std::atomic<bool> stopping{false};         // what changes something is turned away
  // What large bodies take, of all connections, and may take: beyond it they are turned away.
  std::atomic<std::int64_t> held_bytes{0};
  std::int64_t max_held_bytes = INT64_MAX;  // set before the first request

 private:
  ServerSnapshot snapshot() const;
  bool has_key(const std::string& key) const;
  void answer(Exchange& exchange) const;
  void answer_model(Exchange& exchange) const;
  void answer_logging(Exchange& exchange) const;
  void answer_tf_status(Exchange& exchange) const;
  bool infer(const std::shared_ptr<Exchange>& exchange);
  bool change_repository(const std::shared_ptr<Exchange>& exchange);

  Server& server_;
  const std::vector<std::string> api_keys_;
  const bool dashboard_;
};

}  // namespace batchwise::serve

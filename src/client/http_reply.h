// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace batchwise {

// An HTTP reply, as far as a client of v2 servers looks at it.
struct HttpReply {
  int code = 0;
  std::string body;              // empty where it was not to be kept
  std::int64_t body_bytes = 0;   // kept or not
  std::int64_t json_bytes = -1;  // of Inference-Header-Content-Length; -1: there was none
  bool keep_alive = false;
};

// Reads replies one after the other from the bytes of a connection. Not thread-safe.
class HttpReplyParser {
 public:
  HttpReplyParser();
  ~HttpReplyParser();

  // Begins a reply. The body of an error is kept in any case, as far as a message may reach.
  void restart(bool keep_body);

  enum class State : std::uint8_t { kMore, kDone, kBroken };
  // Takes as many of the bytes as it can use and sets `used`; those that are left are given again,
  // with more behind them.
  State feed(std::string_view bytes, std::size_t& used);
  // The connection ended: kDone where that is how the body ends.
  State end();

  bool has_begun() const;  // a byte of the reply was there
  const HttpReply& reply() const;
  // What is wrong with it, one line; of kBroken.
  const std::string& fault() const;

 private:
  class Parser;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace batchwise

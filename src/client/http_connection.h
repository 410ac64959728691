// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/http_reply.h"

namespace batchwise {

// A request that is on its way, as the one who sent it wants to know it again.
struct HttpExchange {
  std::string_view bytes;  // head and body; live until the reply
  bool keep_body = false;
  void* owner = nullptr;
  std::uint64_t tag = 0;
  double sent_us = 0;
};

// One connection to an HTTP server, which carries one request at a time. Lives in the handlers of
// its own reads and writes, and with whoever else holds it; belongs to one thread.
class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  using Protocol = boost::asio::generic::stream_protocol;

  class Events {
   public:
    virtual ~Events() = default;
    virtual void on_connected(HttpConnection& connection) = 0;
    // The connection is free again, unless it was closed.
    virtual void on_reply(HttpConnection& connection, const HttpReply& reply) = 0;
    // It ended, while it was made, idle, or busy; not after close().
    virtual void on_closed(HttpConnection& connection, const std::string& why) = 0;
  };

  // `tls` null: none. `host` is checked against the certificate where the context verifies.
  HttpConnection(boost::asio::io_context& io, boost::asio::ssl::context* tls, std::string host,
                 Events& events);

  void connect(const Protocol::endpoint& endpoint);
  // Requires: connected and idle.
  void send(const HttpExchange& exchange);
  // No event comes any more.
  void close();

  bool is_connected() const { return is_connected_; }
  bool is_busy() const { return is_busy_; }
  bool is_closed() const { return events_ == nullptr; }
  const HttpExchange& exchange() const { return exchange_; }

 private:
  using Code = boost::system::error_code;
  void shake_hands();
  void become_ready();
  void write_rest(std::size_t begin);
  void read();
  void take(std::size_t read_bytes);
  void finish();
  void fail(const std::string& why);

  Protocol::socket socket_;
  std::unique_ptr<boost::asio::ssl::stream<Protocol::socket&>> tls_;
  std::string host_;
  Events* events_;
  HttpExchange exchange_;
  HttpReplyParser parser_;
  std::vector<char> buffer_;  // [begin_, end_) was read and not yet understood
  std::size_t begin_ = 0, end_ = 0;
  bool is_connected_ = false, is_busy_ = false;
};

}  // namespace batchwise

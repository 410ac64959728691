// SPDX-License-Identifier: Apache-2.0
#include "client/http_connection.h"

#include <netinet/tcp.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/write.hpp>
#include <cstring>

#include "measure/sampling.h"

namespace batchwise {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kFirstBufferBytes = 4U << 10;
constexpr std::size_t kMostBufferBytes = 256U << 10;

}  // namespace

HttpConnection::HttpConnection(asio::io_context& io, asio::ssl::context* tls, std::string host,
                               Events& events)
    : socket_(io), host_(std::move(host)), events_(&events) {
  if (tls != nullptr) {
    tls_ = std::make_unique<asio::ssl::stream<Protocol::socket&>>(socket_, *tls);
  }
}

void HttpConnection::connect(const Protocol::endpoint& endpoint) {
  socket_.async_connect(endpoint, [self = shared_from_this()](const Code& error) {
    if (self->is_closed()) return;
    if (error) return self->fail(error.message());
    Code ignored;
    if (self->socket_.local_endpoint(ignored).protocol().family() != AF_UNIX) {
      self->socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    }
    self->socket_.non_blocking(true, ignored);
    if (self->tls_) {
      self->shake_hands();
    } else {
      self->become_ready();
    }
  });
}

void HttpConnection::shake_hands() {
  SSL_set_tlsext_host_name(tls_->native_handle(), host_.c_str());
  if (SSL_CTX_get_verify_mode(SSL_get_SSL_CTX(tls_->native_handle())) != SSL_VERIFY_NONE) {
    Code ignored;
    tls_->set_verify_callback(asio::ssl::host_name_verification(host_), ignored);
  }
  tls_->async_handshake(asio::ssl::stream_base::client,
                        [self = shared_from_this()](const Code& error) {
                          if (self->is_closed()) return;
                          if (error) return self->fail("TLS: " + error.message());
                          self->become_ready();
                        });
}

void HttpConnection::become_ready() {
  is_connected_ = true;
  read();  // all the time, so that a close is seen while it is idle
  events_->on_connected(*this);
}

void HttpConnection::send(const HttpExchange& exchange) {
  exchange_ = exchange;
  exchange_.sent_us = monotonic_seconds() * 1e6;
  is_busy_ = true;
  parser_.restart(exchange.keep_body);
  std::size_t written = 0;
  if (!tls_) {
    // Nearly always all of it goes at once, and costs no turn of the loop. An error shows again in
    // what is written after it.
    Code ignored;
    written = socket_.write_some(asio::buffer(exchange.bytes), ignored);
  }
  if (written < exchange.bytes.size()) write_rest(written);
}

void HttpConnection::write_rest(std::size_t begin) {
  const auto done = [self = shared_from_this()](const Code& error, std::size_t) {
    // A server may have answered and closed before it read all; what it said is read first.
    if (error && !self->is_closed() && error != asio::error::broken_pipe &&
        error != asio::error::connection_reset) {
      self->fail(error.message());
    }
  };
  const auto rest = asio::buffer(exchange_.bytes.substr(begin));
  if (tls_) {
    asio::async_write(*tls_, rest, done);
  } else {
    asio::async_write(socket_, rest, done);
  }
}

void HttpConnection::read() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (begin_ > 0 && end_ == buffer_.size()) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) {
    if (buffer_.size() >= kMostBufferBytes) return fail("the head of a reply is too large");
    buffer_.resize(std::max(kFirstBufferBytes, 4 * buffer_.size()));
  }
  const auto done = [self = shared_from_this()](const Code& error, std::size_t bytes) {
    if (self->is_closed()) return;
    if (!error) return self->take(bytes);
    const bool is_end = error == asio::error::eof || error == asio::ssl::error::stream_truncated;
    if (!is_end) return self->fail(error.message());
    if (self->is_busy_ && self->parser_.has_begun()) {
      if (self->parser_.end() == HttpReplyParser::State::kDone) return self->finish();
      return self->fail(self->parser_.fault());
    }
    self->fail("the server closed the connection");
  };
  const auto room = asio::buffer(buffer_.data() + end_, buffer_.size() - end_);
  if (tls_) {
    tls_->async_read_some(room, done);
  } else {
    socket_.async_read_some(room, done);
  }
}

void HttpConnection::take(std::size_t read_bytes) {
  end_ += read_bytes;
  if (!is_busy_) return fail("the server sent what nobody asked for");
  while (begin_ < end_) {
    std::size_t used = 0;
    const auto state = parser_.feed(std::string_view(buffer_.data() + begin_, end_ - begin_), used);
    begin_ += used;
    if (state == HttpReplyParser::State::kBroken) return fail(parser_.fault());
    if (state == HttpReplyParser::State::kDone) {
      if (begin_ < end_) return fail("more bytes than the reply has came with it");
      return finish();
    }
    if (used == 0) break;
  }
  read();
}

void HttpConnection::finish() {
  const std::shared_ptr<HttpConnection> alive = shared_from_this();
  is_busy_ = false;
  if (parser_.reply().keep_alive) {
    events_->on_reply(*this, parser_.reply());
    if (!is_closed()) read();
    return;
  }
  Events& events = *events_;
  close();
  events.on_reply(*this, parser_.reply());
}

void HttpConnection::fail(const std::string& why) {
  const std::shared_ptr<HttpConnection> alive = shared_from_this();
  Events& events = *events_;
  close();
  events.on_closed(*this, why);
  is_busy_ = false;
}

void HttpConnection::close() {
  events_ = nullptr;
  is_connected_ = false;
  Code ignored;
  socket_.close(ignored);
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "serve/http/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <utility>
#include <vector>

#include "base/check.h"
#include "serve/http/asio_thread.h"

namespace batchwise::serve {
namespace {

namespace asio = boost::asio;
using Socket = asio::generic::stream_protocol::socket;
using ErrorCode = boost::system::error_code;
using User = std::shared_ptr<StreamUser>;

Socket take_over(IoThread& thread, int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  if (address.ss_family != AF_UNIX) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  Socket socket(thread.impl().context);
  socket.assign(asio::generic::stream_protocol(address.ss_family, 0), fd);
  socket.non_blocking(true);
  return socket;
}

// What is left of `parts` after `written` bytes.
void keep_rest(std::span<const Stream::Bytes> parts, std::size_t written,
               std::vector<asio::const_buffer>& rest) {
  rest.clear();
  for (const Stream::Bytes& part : parts) {
    if (written >= part.size()) {
      written -= part.size();
      continue;
    }
    rest.emplace_back(part.data() + written, part.size() - written);
    written = 0;
  }
}

class PlainStream : public Stream {
 public:
  PlainStream(IoThread& thread, int fd) : socket_(take_over(thread, fd)) {}

  void handshake(User user) override { user->on_handshake(true); }

  void read(std::span<std::byte> room, User user) override {
    socket_.async_read_some(asio::buffer(room.data(), room.size()),
                            [user = std::move(user)](const ErrorCode& error, std::size_t bytes) {
                              user->on_read(error ? 0 : bytes, error && error != asio::error::eof);
                            });
  }

  void cancel_read() override {
    ErrorCode ignored;
    socket_.cancel(ignored);
  }

  void watch_failure(User user) override {
    socket_.async_wait(asio::socket_base::wait_error,
                       [user = std::move(user)](const ErrorCode& error) {
                         if (!error) user->on_read(0, true);
                       });
  }

  Wrote write(std::span<const Bytes> parts, User user) override {
    // Nearly always the socket takes it all at once: no operation is queued for it then.
    constexpr std::size_t kAtOnce = 16;
    std::array<asio::const_buffer, kAtOnce> buffers;
    std::size_t count = 0, total = 0;
    for (const Bytes& part : parts.first(std::min(parts.size(), kAtOnce))) {
      buffers[count++] = asio::const_buffer(part.data(), part.size());
    }
    for (const Bytes& part : parts) total += part.size();
    ErrorCode error;
    const std::span<const asio::const_buffer> first(buffers.data(), count);
    const std::size_t written = socket_.write_some(first, error);
    if (error && error != asio::error::would_block) return Wrote::kFailed;
    if (written == total) return Wrote::kAll;
    keep_rest(parts, written, rest_);
    asio::async_write(socket_, rest_,
                      [user = std::move(user)](const ErrorCode& failed, std::size_t) {
                        user->on_written(!failed);
                      });
    return Wrote::kLater;
  }

  void end_writing(User) override {
    ErrorCode ignored;
    socket_.shutdown(asio::socket_base::shutdown_send, ignored);
  }

  void close() override {
    ErrorCode ignored;
    socket_.close(ignored);
  }

 private:
  Socket socket_;
  std::vector<asio::const_buffer> rest_;
};

class TlsStream : public Stream {
 public:
  TlsStream(IoThread& thread, int fd, asio::ssl::context& context)
      : stream_(take_over(thread, fd), context) {}

  void handshake(User user) override {
    stream_.async_handshake(
        asio::ssl::stream_base::server,
        [user = std::move(user)](const ErrorCode& error) { user->on_handshake(!error); });
  }

  void read(std::span<std::byte> room, User user) override {
    stream_.async_read_some(asio::buffer(room.data(), room.size()),
                            [user = std::move(user)](const ErrorCode& error, std::size_t bytes) {
                              // Nobody ends one side of TLS and waits on the other.
                              user->on_read(error ? 0 : bytes, static_cast<bool>(error));
                            });
  }

  void watch_failure(User) override {}

  void cancel_read() override {
    ErrorCode ignored;
    stream_.lowest_layer().cancel(ignored);
  }

  Wrote write(std::span<const Bytes> parts, User user) override {
    keep_rest(parts, 0, rest_);
    asio::async_write(stream_, rest_,
                      [user = std::move(user)](const ErrorCode& failed, std::size_t) {
                        user->on_written(!failed);
                      });
    return Wrote::kLater;
  }

  // Says that the end is meant; the client's answer ends the read that goes on.
  void end_writing(User user) override {
    stream_.async_shutdown([user = std::move(user)](const ErrorCode&) {});
  }

  void close() override {
    ErrorCode ignored;
    stream_.lowest_layer().close(ignored);
  }

 private:
  asio::ssl::stream<Socket> stream_;
  std::vector<asio::const_buffer> rest_;
};

}  // namespace

struct TlsContext::Impl {
  asio::ssl::context context{asio::ssl::context::tls_server};
};

TlsContext::TlsContext(const std::string& certificate, const std::string& key)
    : impl_(std::make_unique<Impl>()) {
  asio::ssl::context& context = impl_->context;
  ErrorCode error;
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  // Idle connections give their buffers back.
  SSL_CTX_set_mode(context.native_handle(), SSL_MODE_RELEASE_BUFFERS);
  context.use_certificate_chain_file(certificate, error);
  if (error) fail_environment("serve", "certificate {}: {}", certificate, error.message());
  context.use_private_key_file(key, asio::ssl::context::pem, error);
  if (error) fail_environment("serve", "key {}: {}", key, error.message());
}

TlsContext::~TlsContext() = default;

std::unique_ptr<Stream> make_stream(IoThread& thread, int socket, TlsContext* tls) {
  if (tls == nullptr) return std::make_unique<PlainStream>(thread, socket);
  return std::make_unique<TlsStream>(thread, socket, tls->impl().context);
}

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#include "serve/http/listener.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "serve/http/asio_thread.h"

namespace batchwise::serve {
namespace {

constexpr int kBacklog = 4096;
constexpr std::string_view kUnix = "unix:";

[[noreturn]] void fail_address(const std::string& address, int error) {
  fail_environment("serve", "cannot listen at {}: {}", address, std::strerror(error));
}

struct HostPort {
  std::string host, port;
};

HostPort split_address(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) {
    fail_input("serve", "'{}' is no address: HOST:PORT or unix:/path is wanted", address);
  }
  HostPort parts{address.substr(0, colon), address.substr(colon + 1)};
  if (parts.host.size() > 2 && parts.host.front() == '[' && parts.host.back() == ']') {
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  }
  const bool is_number = !parts.port.empty() && parts.port.size() <= 5 &&
                         parts.port.find_first_not_of("0123456789") == std::string::npos;
  if (parts.host.empty() || !is_number || std::stoi(parts.port) > 65535) {
    fail_input("serve", "'{}' is no address: HOST:PORT or unix:/path is wanted", address);
  }
  return parts;
}

int listen_at(int fd, const sockaddr* where, socklen_t size, const std::string& address) {
  if (fd >= 0 && bind(fd, where, size) == 0 && listen(fd, kBacklog) == 0) return fd;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  fail_address(address, error);
}

int listen_tcp(const std::string& address) {
  const HostPort parts = split_address(address);
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  const int failed = getaddrinfo(parts.host.c_str(), parts.port.c_str(), &hints, &found);
  if (failed != 0) {
    fail_environment("serve", "cannot listen at {}: {}", address, gai_strerror(failed));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, freeaddrinfo);
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  return listen_at(fd, found->ai_addr, found->ai_addrlen, address);
}

std::string address_with_port(int fd, const std::string& address) {
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
  const auto port = bound.ss_family == AF_INET6
                        ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                        : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port;
  return fmt::format("{}:{}", address.substr(0, address.rfind(':')), ntohs(port));
}

// A socket that a process left behind is in the way; one where somebody answers is not ours.
void remove_stale(const std::string& path, const sockaddr_un& where, const std::string& address) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return;
  if (!S_ISSOCK(status.st_mode)) fail_address(address, EEXIST);
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool answers =
      connect(probe, reinterpret_cast<const sockaddr*>(&where), sizeof(where)) == 0;
  ::close(probe);
  if (answers) fail_address(address, EADDRINUSE);
  unlink(path.c_str());
}

int listen_unix(const std::string& path, const std::string& address) {
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(where.sun_path)) {
    fail_input("serve", "'{}': a path of 1 to {} bytes is wanted", address,
               sizeof(where.sun_path) - 1);
  }
  std::memcpy(where.sun_path, path.c_str(), path.size());
  remove_stale(path, where, address);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return listen_at(fd, reinterpret_cast<const sockaddr*>(&where), sizeof(where), address);
}

}  // namespace

// On its thread, but for the construction.
struct Listener::Acceptor : std::enable_shared_from_this<Acceptor> {
  Acceptor(IoThread& thread, int fd, std::function<void(int)> call)
      : socket(thread.impl().context, fd),
        timer(thread.impl().context),
        accepted(std::move(call)) {}

  void wait() {
    socket.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [self = shared_from_this()](const boost::system::error_code& error) {
                        if (!error) self->accept_all();
                      });
  }

  void accept_all() {
    // Some at a time, so that those who are there are not forgotten over those who come.
    for (int i = 0; i < 64 && socket.is_open(); ++i) {
      const int fd =
          accept4(socket.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        accepted(fd);
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        return wait_a_while();
      } else if (errno != EINTR && errno != ECONNABORTED) {
        break;
      }
    }
    if (socket.is_open()) wait();
  }

  // Until somebody closes a file.
  void wait_a_while() {
    timer.expires_after(std::chrono::milliseconds(50));
    timer.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && self->socket.is_open()) self->wait();
    });
  }

  boost::asio::posix::stream_descriptor socket;
  boost::asio::steady_timer timer;
  std::function<void(int)> accepted;
};

Listener::Listener(const std::string& address) : address_(address) {
  if (address.starts_with(kUnix)) {
    const std::string path = address.substr(kUnix.size());
    socket_ = listen_unix(path, address);
    unlinked_path_ = path;
  } else {
    socket_ = listen_tcp(address);
    address_ = address_with_port(socket_, address);
  }
}

Listener::~Listener() {
  if (socket_ >= 0) ::close(socket_);
  if (!unlinked_path_.empty()) unlink(unlinked_path_.c_str());
}

void Listener::start(IoThread& thread, std::function<void(int socket)> accepted) {
  thread_ = &thread;
  acceptor_ = std::make_shared<Acceptor>(thread, std::exchange(socket_, -1), std::move(accepted));
  thread.post([acceptor = acceptor_] { acceptor->wait(); });
}

void Listener::stop() {
  if (!acceptor_) return;
  thread_->post([acceptor = std::move(acceptor_)] {
    boost::system::error_code ignored;
    acceptor->socket.close(ignored);
    acceptor->timer.cancel();
  });
}

}  // namespace batchwise::serve

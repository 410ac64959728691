// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace batchwise {

// What a server says to one request: the pieces are written one by one.
struct ScriptedReply {
  std::vector<std::string> pieces;
  bool close = false;  // the connection, afterwards
};

inline std::string http_reply(int code, const std::string& body, const std::string& fields = {}) {
  return "HTTP/1.1 " + std::to_string(code) +
         " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + fields + "\r\n" + body;
}

// A server of plain sockets that answers as it is told, for tests of the client: it shares no code
// with it. One thread a connection. `answer` gets the number of the connection, of the request on
// it, and the request; it is called from those threads, one at a time.
class ScriptedServer {
 public:
  using Answer = std::function<ScriptedReply(int connection, int request, const std::string& text)>;

  explicit ScriptedServer(Answer answer, const std::string& unix_path = {})
      : answer_(std::move(answer)) {
    if (unix_path.empty()) {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      listener_ = socket(AF_INET, SOCK_STREAM, 0);
      EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
      socklen_t size = sizeof address;
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
      port_ = ntohs(address.sin_port);
    } else {
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      std::strncpy(address.sun_path, unix_path.c_str(), sizeof address.sun_path - 1);
      listener_ = socket(AF_UNIX, SOCK_STREAM, 0);
      EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    EXPECT_EQ(listen(listener_, 128), 0);
    accepter_ = std::thread([this] { accept_all(); });
  }

  ~ScriptedServer() {
    shutdown(listener_, SHUT_RDWR);
    accepter_.join();
    close(listener_);
    for (const int connection : connections_) shutdown(connection, SHUT_RDWR);
    for (std::thread& thread : threads_) thread.join();
    for (const int connection : connections_) close(connection);
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  int port() const { return port_; }
  int num_connections() const { return num_connections_; }

 private:
  void accept_all() {
    while (true) {
      const int connection = accept(listener_, nullptr, nullptr);
      if (connection < 0) return;
      connections_.push_back(connection);
      const int number = num_connections_++;
      threads_.emplace_back([this, connection, number] { serve(connection, number); });
    }
  }

  // A request with its body, or nothing at the end.
  static std::string read_request(int connection, std::string& rest) {
    while (true) {
      const std::size_t end = rest.find("\r\n\r\n");
      if (end != std::string::npos) {
        const std::size_t field = rest.find("Content-Length: ");
        const std::size_t body =
            field < end ? std::strtoul(rest.c_str() + field + 16, nullptr, 10) : 0;
        if (rest.size() >= end + 4 + body) {
          std::string text = rest.substr(0, end + 4 + body);
          rest.erase(0, end + 4 + body);
          return text;
        }
      }
      char buffer[4096];
      const ssize_t read = recv(connection, buffer, sizeof buffer, 0);
      if (read <= 0) return {};
      rest.append(buffer, static_cast<std::size_t>(read));
    }
  }

  void serve(int connection, int number) {
    std::string rest;
    for (int request = 0;; ++request) {
      const std::string text = read_request(connection, rest);
      if (text.empty()) return;
      ScriptedReply reply;
      {
        const std::lock_guard lock(mutex_);
        reply = answer_(number, request, text);
      }
      for (const std::string& piece : reply.pieces) {
        if (send(connection, piece.data(), piece.size(), MSG_NOSIGNAL) < 0) return;
      }
      if (reply.close) {
        shutdown(connection, SHUT_RDWR);
        return;
      }
    }
  }

  const Answer answer_;
  std::mutex mutex_;
  int listener_ = -1, port_ = 0;
  std::atomic<int> num_connections_{0};
  std::vector<int> connections_;  // of the accepter, until it is joined
  std::vector<std::thread> threads_;
  std::thread accepter_;
};

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

namespace batchwise::serve {

// A blocking client for tests: bytes out, bytes in, and just enough of HTTP to cut answers.
class RawClient {
 public:
  // "127.0.0.1:8000" or "unix:/path".
  explicit RawClient(const std::string& address) {
    if (address.starts_with("unix:")) {
      sockaddr_un where{};
      where.sun_family = AF_UNIX;
      std::strncpy(where.sun_path, address.c_str() + 5, sizeof(where.sun_path) - 1);
      connect_to(AF_UNIX, reinterpret_cast<const sockaddr*>(&where), sizeof(where));
    } else {
      sockaddr_in where{};
      where.sin_family = AF_INET;
      const std::size_t colon = address.rfind(':');
      where.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
      inet_pton(AF_INET, address.substr(0, colon).c_str(), &where.sin_addr);
      connect_to(AF_INET, reinterpret_cast<const sockaddr*>(&where), sizeof(where));
    }
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void end_writing() { shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  struct Answer {
    int status = 0;  // 0: the server closed
    std::map<std::string, std::string> fields;
    std::string body;
  };
  // The next answer; interim ones (100) are answers too. `head_only`: to a HEAD.
  Answer receive(bool head_only = false) {
    Answer answer;
    std::size_t end = std::string::npos;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return answer;
    }
    read_head(buffer_.substr(0, end + 2), answer);
    buffer_.erase(0, end + 4);
    const auto length = answer.fields.find("Content-Length");
    if (length == answer.fields.end() || head_only) return answer;
    const std::size_t bytes = std::stoul(length->second);
    while (buffer_.size() < bytes) {
      if (!more()) return {};
    }
    answer.body = buffer_.substr(0, bytes);
    buffer_.erase(0, bytes);
    return answer;
  }
  Answer ask(std::string_view request) {
    send(request);
    return receive();
  }
  // True when the server has ended the connection, and sent nothing more.
  bool is_ended() { return buffer_.empty() && !more(); }

 private:
  void connect_to(int family, const sockaddr* where, socklen_t size) {
    fd_ = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval most{20, 0};  // a test that hangs should fail
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
    if (connect(fd_, where, size) != 0) std::abort();
  }
  bool more() {
    char bytes[65536];
    const ssize_t received = recv(fd_, bytes, sizeof(bytes), 0);
    if (received <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(received));
    return true;
  }
  static void read_head(const std::string& head, Answer& answer) {
    answer.status = std::stoi(head.substr(9, 3));
    std::size_t at = head.find("\r\n") + 2;
    while (at < head.size()) {
      const std::size_t end = head.find("\r\n", at), colon = head.find(": ", at);
      answer.fields[head.substr(at, colon - at)] = head.substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
  }

  int fd_ = -1;
  std::string buffer_;
};

inline std::string get(const std::string& target, const std::string& fields = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
}
inline std::string post(const std::string& target, const std::string& body,
                        const std::string& fields = "") {
  return "POST " + target +
         " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         fields + "\r\n" + body;
}

}  // namespace batchwise::serve

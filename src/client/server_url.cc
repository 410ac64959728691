// SPDX-License-Identifier: Apache-2.0
#include "client/server_url.h"

#include <array>
#include <charconv>

#include "base/check.h"

namespace batchwise {
namespace {

constexpr char kWhere[] = "URL";

struct Scheme {
  std::string_view prefix;
  ClientProtocol protocol;
  bool tls;
  int port;
};
constexpr std::array kSchemes{
    Scheme{"http://", ClientProtocol::kHttp, false, 8000},
    Scheme{"https://", ClientProtocol::kHttp, true, 443},
    Scheme{"grpc://", ClientProtocol::kGrpc, false, 8001},
    Scheme{"grpcs://", ClientProtocol::kGrpc, true, 8001},
    Scheme{"", ClientProtocol::kHttp, false, 8000},
};

int parse_port(std::string_view text, const std::string& url) {
  int port = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || stop != end || port < 1 || port > 65535) {
    fail_input(kWhere, "'{}': '{}' is no port from 1 to 65535", url, text);
  }
  return port;
}

// "host", "host:port", "[::1]:port".
void parse_host(std::string_view text, const std::string& url, ClientOptions& options) {
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) fail_input(kWhere, "'{}' has a [ without a ]", url);
    port = text.substr(end + 1);
    text = text.substr(1, end - 1);
  } else if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    port = text.substr(colon);
    text = text.substr(0, colon);
  }
  if (text.empty()) fail_input(kWhere, "'{}' names no server", url);
  for (const char c : text) {
    const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                          (c >= 'A' && c <= 'Z') ||
                          std::string_view("-._:%").find(c) != std::string_view::npos;
    if (!is_plain) fail_input(kWhere, "'{}': '{}' is no name of a server", url, text);
  }
  options.host = text;
  if (port.empty()) return;
  if (port.front() != ':') fail_input(kWhere, "'{}': '{}' is no port", url, port);
  options.port = parse_port(port.substr(1), url);
}

}  // namespace

ClientProtocol parse_server_url(const std::string& url, ClientOptions& options) {
  if (url.starts_with("unix:")) {
    options.unix_socket = url.substr(url.starts_with("unix://") ? 7 : 5);
    if (options.unix_socket.empty()) fail_input(kWhere, "'{}' names no socket", url);
    return ClientProtocol::kHttp;
  }
  for (const Scheme& scheme : kSchemes) {
    if (!url.starts_with(scheme.prefix)) continue;
    std::string_view rest(url);
    rest.remove_prefix(scheme.prefix.size());
    if (const std::size_t other = rest.find("://"); other != std::string_view::npos) {
      fail_input(kWhere, "'{}' is unknown in '{}'; there are http, https, grpc, grpcs and unix",
                 rest.substr(0, other), url);
    }
    if (const std::size_t slash = rest.find('/'); slash != std::string_view::npos) {
      if (slash + 1 != rest.size()) {
        fail_input(kWhere, "'{}' has a path: name the server alone, and the model with --model",
                   url);
      }
      rest.remove_suffix(1);
    }
    options.tls = scheme.tls;
    options.port = scheme.port;
    parse_host(rest, url, options);
    return scheme.protocol;
  }
  fail_input(kWhere, "'{}' is none", url);
}

std::string server_name(const ClientOptions& options) {
  if (!options.unix_socket.empty()) return options.unix_socket;
  const bool is_v6 = options.host.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", options.host, options.port)
               : fmt::format("{}:{}", options.host, options.port);
}

}  // namespace batchwise

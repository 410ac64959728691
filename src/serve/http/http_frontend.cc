// SPDX-License-Identifier: Apache-2.0
#include "serve/http/http_frontend.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <list>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "serve/http/connection.h"
#include "serve/http/listener.h"

namespace batchwise::serve {
namespace {

constexpr double kTicksPerSecond = 4;

std::uint32_t ticks_of(double seconds) {
  // One more, since a tick may come at once.
  return static_cast<std::uint32_t>(std::clamp(std::ceil(seconds * kTicksPerSecond), 1.0, 1e8)) + 1;
}

// Connections are files.
void allow_files(int connections) {
  rlimit limit{};
  constexpr rlim_t kOthers = 256;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min(limit.rlim_max, static_cast<rlim_t>(connections) + kOthers);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Some bodies of the largest size always, many where a quarter of the machine's memory has room.
std::int64_t most_held_bytes(std::int64_t max_body_bytes) {
  constexpr std::int64_t kAlways = 4, kMost = 32;
  const std::int64_t memory =
      static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  const std::int64_t body = std::min(max_body_bytes, INT64_MAX / kMost);
  return std::max(kAlways * body, std::min(kMost * body, memory / 4));
}

void check_options(const HttpOptions& options) {
  const auto want = [](bool ok, const char* name, auto value) {
    if (!ok) fail_input("serve", "{} is {}", name, value);
  };
  want(options.threads >= 1 && options.threads <= 1024, "threads", options.threads);
  want(options.max_body_bytes > 0, "max_body_bytes", options.max_body_bytes);
  want(options.max_connections > 0, "max_connections", options.max_connections);
  want(options.idle_timeout_s > 0, "idle_timeout_s", options.idle_timeout_s);
  want(options.body_timeout_s > 0, "body_timeout_s", options.body_timeout_s);
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    fail_input("serve", "TLS takes a certificate and a key: '{}' and '{}'", options.tls_certificate,
               options.tls_key);
  }
  for (const std::string& key : options.api_keys) want(!key.empty(), "an API key", "empty");
}

class HttpFrontend final : public Frontend {
 public:
  HttpFrontend(Server& server, const HttpOptions& options)
      : server_(server),
        options_(options),
        api_(server, options.api_keys, options.dashboard),
        listener_(options.address) {
    if (!options.tls_certificate.empty()) {
      tls_ = std::make_unique<TlsContext>(options.tls_certificate, options.tls_key);
    }
    api_.max_held_bytes = most_held_bytes(options.max_body_bytes);
    allow_files(options.max_connections);
    for (int i = 0; i < options.threads; ++i) start_group();
    listener_.start(*groups_[0]->thread, [this](int socket) { take(socket); });
  }
  ~HttpFrontend() override { finish(); }
  HttpFrontend(const HttpFrontend&) = delete;
  HttpFrontend& operator=(const HttpFrontend&) = delete;

  std::string address() const override { return listener_.address(); }

  void stop_accepting() override {
    listener_.stop();
    api_.stopping.store(true);
  }

  void finish() override {
    if (std::exchange(finished_, true)) return;
    stop_accepting();
    const auto last = Clock::now() + std::chrono::duration<double>(options_.body_timeout_s);
    while (is_busy() && Clock::now() < last) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    for (const auto& group : groups_) on_thread(*group, close_all);
    for (const auto& group : groups_) group->thread->join();
  }

 private:
  void start_group() {
    auto group = std::make_unique<ConnectionGroup>();
    group->api = &api_;
    group->thread = std::make_shared<IoThread>();
    group->max_body_bytes = options_.max_body_bytes;
    group->idle_ticks = ticks_of(options_.idle_timeout_s);
    group->body_ticks = ticks_of(options_.body_timeout_s);
    group->thread->set_tick([group = group.get()] { tick(*group); });
    groups_.push_back(std::move(group));
  }

  static void tick(ConnectionGroup& group) {
    ++group.now;
    for (auto next = group.connections.begin(); next != group.connections.end();) {
      // May take itself out.
      const auto connection = *next++;
      connection->on_tick();
    }
  }

  static bool close_all(ConnectionGroup& group) {
    for (auto next = group.connections.begin(); next != group.connections.end();) {
      const auto connection = *next++;
      connection->close();
    }
    return true;
  }

  bool is_busy() {
    bool busy = false;
    for (const auto& group : groups_) {
      busy |= on_thread(*group, [](ConnectionGroup& each) {
        return std::any_of(each.connections.begin(), each.connections.end(),
                           [](const auto& connection) { return connection->is_busy(); });
      });
    }
    return busy;
  }

  // What a function of a group says, on the group's thread.
  template <typename Function>
  static bool on_thread(ConnectionGroup& group, Function&& function) {
    std::promise<bool> promise;
    group.thread->post([&] { promise.set_value(function(group)); });
    return promise.get_future().get();
  }

  // On the first group's thread.
  void take(int socket) {
    if (api_.connections.load(std::memory_order_relaxed) >= options_.max_connections) {
      return turn_away(socket);
    }
    api_.connections.fetch_add(1, std::memory_order_relaxed);
    ConnectionGroup& group = *groups_[next_group_++ % groups_.size()];
    const std::int32_t client =
        server_.client_of(fmt::format("http connection {}", next_connection_++));
    const auto open = [this, &group, socket, client] {
      std::make_shared<Connection>(group, make_stream(*group.thread, socket, tls_.get()), client)
          ->start();
    };
    if (group.thread->is_current()) return open();
    group.thread->post(open);
  }

  void turn_away(int socket) const {
    Response response;
    answer_refusal(response,
                   {Status::kOverloaded,
                    fmt::format("there are {} connections", options_.max_connections), 1});
    std::string text;
    write_head(text, response, false);
    text += response.body;
    // Without waiting, and not where TLS is spoken first.
    if (!tls_) static_cast<void>(send(socket, text.data(), text.size(), MSG_NOSIGNAL));
    shutdown(socket, SHUT_WR);
    ::close(socket);
  }

  Server& server_;
  const HttpOptions options_;
  Api api_;
  std::unique_ptr<TlsContext> tls_;
  std::vector<std::unique_ptr<ConnectionGroup>> groups_;
  Listener listener_;
  std::size_t next_group_ = 0;
  std::uint64_t next_connection_ = 0;
  bool finished_ = false;
};

}  // namespace

std::unique_ptr<Frontend> make_http_frontend(Server& server, const HttpOptions& options) {
  check_options(options);
  return std::make_unique<HttpFrontend>(server, options);
}

}  // namespace batchwise::serve

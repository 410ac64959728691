// SPDX-License-Identifier: Apache-2.0
#include "client/http_client.h"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <optional>

#include "base/check.h"
#include "client/http_connection.h"
#include "client/server_url.h"
#include "client/v2_json.h"
#include "measure/sampling.h"

namespace batchwise {
namespace {

namespace asio = boost::asio;

constexpr double kMostWaitUs = 10e6;  // for an answer that the caller blocks on

struct PreparedHttp final : PreparedInfer {
  std::string bytes;  // head and body
  bool keep_body = false;
};

// Turns a reply into the outcome that all protocols share.
InferStatus status_of(int code) {
  switch (code) {
    case 200:
      return InferStatus::kOk;
    case 429:
    case 503:
      return InferStatus::kRefused;
    case 504:
      return InferStatus::kExpired;
    default:
      return InferStatus::kFailed;
  }
}

class HttpClient final : public InferClient, private HttpConnection::Events {
 public:
  explicit HttpClient(const ClientOptions& options)
      : options_(options), io_(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE), timer_(io_) {
    if (options_.tls) make_tls();
    host_header_ = options_.unix_socket.empty() ? server_name(options_) : "localhost";
  }

  ~HttpClient() override {
    for (const auto& connection : connections_) connection->close();
  }

  void connect() override {
    resolve();
    while (static_cast<int>(connections_.size()) < options_.connections) open();
    const double until_us = now_us() + kMostWaitUs;
    while (!std::all_of(connections_.begin(), connections_.end(),
                        [](const auto& one) { return one->is_connected(); })) {
      wait(until_us);
      if (!fault_.empty()) fail_environment(name(), "{}", fault_);
      if (now_us() >= until_us) {
        fail_environment(name(), "no connection within {:.0f} s", kMostWaitUs / 1e6);
      }
    }
  }

  RemoteModel model(const std::string& model_name, const std::string& version) override {
    const HttpReply reply = ask(model_path(model_name, version));
    if (reply.code != 200) {
      fail_input(name(), "model {}: {} {}", model_name, reply.code, error_message(reply.body));
    }
    return decode_model_metadata(reply.body);
  }

  std::optional<RemoteStatistics> statistics(const std::string& model_name,
                                             const std::string& version) override {
    const HttpReply reply = ask(model_path(model_name, version) + "/stats");
    if (reply.code != 200) return {};
    return decode_statistics(reply.body, model_name, version);
  }

  std::unique_ptr<PreparedInfer> prepare(const InferCall& call) override {
    const V2Body body = encode_infer_request(call, options_.binary_tensors);
    auto prepared = std::make_unique<PreparedHttp>();
    prepared->keep_body = call.wants_outputs;
    std::string fields = fmt::format("Content-Length: {}\r\n", body.bytes.size());
    if (options_.binary_tensors) {
      fields += fmt::format(
          "Content-Type: application/octet-stream\r\nInference-Header-Content-Length: {}\r\n",
          body.json_bytes);
    } else {
      fields += "Content-Type: application/json\r\n";
    }
    prepared->bytes =
        head("POST", model_path(call.model, call.version) + "/infer", fields) + body.bytes;
    return prepared;
  }

  void send(const PreparedInfer& request, std::uint64_t tag, InferReplyHandler& handler) override {
    const auto& prepared = static_cast<const PreparedHttp&>(request);
    HttpExchange exchange;
    exchange.bytes = prepared.bytes;
    exchange.keep_body = prepared.keep_body;
    exchange.owner = &handler;
    exchange.tag = tag;
    start(exchange);
  }

  void wait(double until_us) override {
    num_events_ = 0;
    if (until_us > now_us()) {
      set_timer(until_us);
      do {
        io_.restart();
        io_.run_one();
      } while (num_events_ == 0 && !is_time_);
    }
    io_.restart();
    io_.poll();
  }

  void forget() override {
    backlog_.clear();
    for (const auto& connection : std::vector(connections_)) {
      if (!connection->is_busy()) continue;
      connection->close();
      remove(*connection);
    }
  }

 private:
  static double now_us() { return monotonic_seconds() * 1e6; }
  std::string name() const { return server_name(options_); }

  static std::string model_path(const std::string& model_name, const std::string& version) {
    std::string path = "/v2/models/" + encode_path_segment(model_name);
    if (!version.empty()) path += "/versions/" + encode_path_segment(version);
    return path;
  }

  std::string head(std::string_view method, const std::string& path,
                   const std::string& fields) const {
    std::string text =
        fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n{}", method, path, host_header_, fields);
    if (!options_.api_key.empty()) {
      text += fmt::format("Authorization: Bearer {}\r\n", options_.api_key);
    }
    return text + "\r\n";
  }

  void make_tls() {
    tls_.emplace(asio::ssl::context::tls_client);
    boost::system::error_code error;
    if (!options_.verify) {
      tls_->set_verify_mode(asio::ssl::verify_none, error);
      return;
    }
    tls_->set_verify_mode(asio::ssl::verify_peer, error);
    if (options_.ca_file.empty()) {
      tls_->set_default_verify_paths(error);
    } else {
      tls_->load_verify_file(options_.ca_file, error);
    }
    if (error) fail_input(options_.ca_file, "no certificates in it: {}", error.message());
  }

  void resolve() {
    if (!options_.unix_socket.empty()) {
      if (options_.unix_socket.size() >= sizeof(sockaddr_un::sun_path)) {
        fail_input(name(), "a path of {} bytes is too long for a Unix socket",
                   options_.unix_socket.size());
      }
      endpoint_ = asio::local::stream_protocol::endpoint(options_.unix_socket);
      return;
    }
    boost::system::error_code error;
    asio::ip::tcp::resolver resolver(io_);
    const auto found = resolver.resolve(options_.host, std::to_string(options_.port), error);
    if (error) fail_environment(name(), "{}", error.message());
    endpoint_ = found.begin()->endpoint();
    // "localhost" is often both; a server listens on the older one.
    for (const auto& entry : found) {
      if (entry.endpoint().address().is_v4()) {
        endpoint_ = entry.endpoint();
        break;
      }
    }
  }

  void open() {
    auto connection = std::make_shared<HttpConnection>(io_, tls_ ? &*tls_ : nullptr, options_.host,
                                                       static_cast<Events&>(*this));
    connections_.push_back(connection);
    ++num_connecting_;
    connection->connect(endpoint_);
  }

  void start(const HttpExchange& exchange) {
    while (!idle_.empty()) {
      const std::shared_ptr<HttpConnection> connection = std::move(idle_.back());
      idle_.pop_back();
      if (connection->is_closed()) continue;
      return connection->send(exchange);
    }
    backlog_.push_back(exchange);
    open_for_backlog();
  }

  void open_for_backlog() {
    if (num_connecting_ + num_freeing_ < static_cast<int>(backlog_.size()) &&
        static_cast<int>(connections_.size()) < options_.max_connections) {
      open();
    }
  }

  void remove(const HttpConnection& connection) {
    const auto is_it = [&](const auto& other) { return other.get() == &connection; };
    connections_.erase(std::find_if(connections_.begin(), connections_.end(), is_it));
    const auto idle = std::find_if(idle_.begin(), idle_.end(), is_it);
    if (idle != idle_.end()) idle_.erase(idle);
  }

  void take_next(HttpConnection& connection) {
    if (backlog_.empty()) {
      idle_.push_back(connection.shared_from_this());
      return;
    }
    const HttpExchange next = backlog_.front();
    backlog_.pop_front();
    connection.send(next);
  }

  void on_connected(HttpConnection& connection) override {
    ++num_events_;
    --num_connecting_;
    take_next(connection);
  }

  void on_reply(HttpConnection& connection, const HttpReply& reply) override {
    ++num_events_;
    const HttpExchange exchange = connection.exchange();
    const bool is_free = !connection.is_closed();
    if (!is_free) remove(connection);
    // What the handler sends at once goes over this connection, not over a new one.
    num_freeing_ = is_free ? 1 : 0;
    answer(exchange, reply);
    num_freeing_ = 0;
    if (is_free) take_next(connection);
    open_for_backlog();
  }

  void on_closed(HttpConnection& connection, const std::string& why) override {
    ++num_events_;
    const bool was_busy = connection.is_busy();
    const bool was_connecting =
        !was_busy && std::find_if(idle_.begin(), idle_.end(), [&](const auto& other) {
                       return other.get() == &connection;
                     }) == idle_.end();
    const HttpExchange exchange = connection.exchange();
    remove(connection);
    if (was_connecting) {
      --num_connecting_;
      fault_ = why;
      // Whoever waits for a connection would wait for ever.
      if (!backlog_.empty()) {
        const HttpExchange lost = backlog_.front();
        backlog_.pop_front();
        lose(lost, why);
      }
    }
    if (was_busy) lose(exchange, why);
    open_for_backlog();
  }

  static void lose(const HttpExchange& exchange, const std::string& why) {
    InferReply reply;
    reply.status = InferStatus::kLost;
    reply.message = why;
    reply.sent_us = exchange.sent_us;
    reply.received_us = now_us();
    static_cast<InferReplyHandler*>(exchange.owner)->on_reply(exchange.tag, reply);
  }

  // Blocking questions come through here too: their handler keeps the body.
  void answer(const HttpExchange& exchange, const HttpReply& from) {
    InferReply reply;
    reply.sent_us = exchange.sent_us;
    reply.received_us = now_us();
    reply.code = from.code;
    reply.status = status_of(from.code);
    std::string message;
    V2Outputs outputs;
    auto* const handler = static_cast<InferReplyHandler*>(exchange.owner);
    if (handler == &question_) {
      question_.reply = from;
    } else if (reply.status != InferStatus::kOk) {
      message = fmt::format("{} {}", from.code, error_message(from.body));
    } else if (exchange.keep_body) {
      try {
        outputs = decode_infer_reply(from.body, from.json_bytes);
        reply.outputs = outputs.tensors;
      } catch (const Error& error) {
        message = error.what();
        reply.status = InferStatus::kFailed;
      }
    }
    reply.message = message;
    handler->on_reply(exchange.tag, reply);
  }

  struct Question final : InferReplyHandler {
    void on_reply(std::uint64_t, const InferReply& got) override {
      is_done = true;
      fault = got.status == InferStatus::kLost ? std::string(got.message) : std::string();
    }
    bool is_done = false;
    std::string fault;
    HttpReply reply;
  };

  HttpReply ask(const std::string& path) {
    const std::string bytes = head("GET", path, "");
    question_ = Question();
    HttpExchange exchange;
    exchange.bytes = bytes;
    exchange.keep_body = true;
    exchange.owner = &question_;
    start(exchange);
    const double until_us = now_us() + kMostWaitUs;
    while (!question_.is_done && now_us() < until_us) wait(until_us);
    if (!question_.is_done) {
      // Its bytes go away with this call.
      forget();
      fail_environment(name(), "no answer to {} within {:.0f} s", path, kMostWaitUs / 1e6);
    }
    if (!question_.fault.empty()) fail_environment(name(), "{}", question_.fault);
    return std::move(question_.reply);
  }

  void set_timer(double until_us) {
    is_time_ = false;
    if (until_us == timer_us_) return;
    timer_us_ = until_us;
    using std::chrono::nanoseconds;
    const double in_us = std::min(until_us - now_us(), 1e12);
    timer_.expires_after(nanoseconds(static_cast<std::int64_t>(in_us * 1e3)));
    timer_.async_wait([this, until_us](const boost::system::error_code& error) {
      if (error || timer_us_ != until_us) return;
      is_time_ = true;
      timer_us_ = 0;
    });
  }

  const ClientOptions options_;
  asio::io_context io_;
  std::optional<asio::ssl::context> tls_;
  std::string host_header_;
  HttpConnection::Protocol::endpoint endpoint_;
  std::vector<std::shared_ptr<HttpConnection>> connections_;
  std::vector<std::shared_ptr<HttpConnection>> idle_;  // the last used is used next
  std::deque<HttpExchange> backlog_;
  int num_connecting_ = 0, num_freeing_ = 0;
  std::string fault_;  // why a connection could not be made
  Question question_;
  asio::steady_timer timer_;
  double timer_us_ = 0;
  bool is_time_ = false;
  std::int64_t num_events_ = 0;
};

}  // namespace

std::unique_ptr<InferClient> make_http_client(const ClientOptions& options) {
  return std::make_unique<HttpClient>(options);
}

}  // namespace batchwise

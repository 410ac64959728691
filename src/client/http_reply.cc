// SPDX-License-Identifier: Apache-2.0
#include "client/http_reply.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <charconv>
#include <optional>

namespace batchwise {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

constexpr std::uint64_t kMostBodyBytes = std::uint64_t{4} << 30;
constexpr std::uint32_t kMostHeaderBytes = 64U << 10;
constexpr std::size_t kMostErrorBytes = 64U << 10;

}  // namespace

// Keeps of the head what HttpReply has, and allocates nothing for the rest.
class HttpReplyParser::Parser final : public http::basic_parser<false> {
 public:
  Parser(HttpReply& reply, bool keep_body) : reply_(reply), keep_body_(keep_body) {
    eager(true);
    body_limit(kMostBodyBytes);
    header_limit(kMostHeaderBytes);
  }

 private:
  using Code = beast::error_code;
  void on_request_impl(http::verb, beast::string_view, beast::string_view, int, Code&) override {}
  void on_response_impl(int code, beast::string_view, int, Code&) override { reply_.code = code; }

  void on_field_impl(http::field, beast::string_view name, beast::string_view value,
                     Code& error) override {
    if (!beast::iequals(name, "Inference-Header-Content-Length")) return;
    const char* const end = value.data() + value.size();
    const auto [stop, fault] = std::from_chars(value.data(), end, reply_.json_bytes);
    if (fault != std::errc() || stop != end || reply_.json_bytes < 0) {
      error = http::error::bad_value;
    }
  }

  void on_header_impl(Code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, Code&) override {
    const bool is_error = reply_.code != 200;
    most_bytes_ = keep_body_ ? kMostBodyBytes : is_error ? kMostErrorBytes : 0;
    // What a head promises is not yet there: memory follows what comes.
    constexpr std::uint64_t kTrusted = 1U << 20;
    if (length && most_bytes_ > 0) reply_.body.reserve(std::min(*length, kTrusted));
  }
  std::size_t take(beast::string_view bytes) {
    reply_.body_bytes += static_cast<std::int64_t>(bytes.size());
    const std::size_t room = most_bytes_ - std::min<std::size_t>(most_bytes_, reply_.body.size());
    reply_.body.append(bytes.data(), std::min(room, bytes.size()));
    return bytes.size();
  }
  std::size_t on_body_impl(beast::string_view bytes, Code&) override { return take(bytes); }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, Code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view bytes, Code&) override {
    return take(bytes);
  }
  void on_finish_impl(Code&) override {}

  HttpReply& reply_;
  const bool keep_body_;
  std::uint64_t most_bytes_ = 0;
};

struct HttpReplyParser::Impl {
  HttpReply reply;
  std::optional<Parser> parser;
  std::string fault;
  bool keep_body = false;

  State state(const beast::error_code& error) {
    if (error && error != http::error::need_more) {
      fault = "the reply is no HTTP: " + error.message();
      return State::kBroken;
    }
    if (!parser->is_done()) return State::kMore;
    reply.keep_alive = parser->keep_alive();
    return State::kDone;
  }
};

HttpReplyParser::HttpReplyParser() : impl_(std::make_unique<Impl>()) { restart(false); }
HttpReplyParser::~HttpReplyParser() = default;

void HttpReplyParser::restart(bool keep_body) {
  impl_->keep_body = keep_body;
  HttpReply& reply = impl_->reply;
  reply.code = 0;
  reply.body.clear();
  reply.body_bytes = 0;
  reply.json_bytes = -1;
  impl_->parser.emplace(reply, keep_body);
}

HttpReplyParser::State HttpReplyParser::feed(std::string_view bytes, std::size_t& used) {
  beast::error_code error;
  used = impl_->parser->put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  // A "100 Continue" comes before the reply proper.
  if (!error && impl_->parser->is_done() && impl_->reply.code == 100) {
    restart(impl_->keep_body);
    return State::kMore;
  }
  return impl_->state(error);
}

HttpReplyParser::State HttpReplyParser::end() {
  beast::error_code error;
  impl_->parser->put_eof(error);
  const State state = impl_->state(error);
  if (state != State::kDone) {
    impl_->fault = "the connection was closed in the middle of a reply";
    return State::kBroken;
  }
  return state;
}

bool HttpReplyParser::has_begun() const { return impl_->parser->got_some(); }
const HttpReply& HttpReplyParser::reply() const { return impl_->reply; }
const std::string& HttpReplyParser::fault() const { return impl_->fault; }

}  // namespace batchwise

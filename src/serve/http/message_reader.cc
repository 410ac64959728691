// SPDX-License-Identifier: Apache-2.0
#include "serve/http/message_reader.h"

#include <fmt/format.h>

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/field.hpp>
#include <optional>
#include <utility>

#include "serve/http/header_fields.h"

namespace batchwise::serve {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using BeastText = boost::beast::string_view;

constexpr std::uint32_t kMaxHeadBytes = 16 << 10;
constexpr std::size_t kPaddingBytes = 64;
constexpr std::size_t kKeptBytes = 64 << 10;

std::string_view text_of(BeastText text) { return {text.data(), text.size()}; }

}  // namespace

// Puts what Beast finds into the reader's head and chunks, without a table of fields.
class MessageReader::Parser : public http::basic_parser<true> {
 public:
  explicit Parser(MessageReader& reader) : reader_(&reader) {
    header_limit(kMaxHeadBytes);
    body_limit(boost::none);  // the reader's own
    eager(false);
  }

 private:
  void on_request_impl(http::verb verb, BeastText, BeastText target, int, error_code&) override {
    RequestHead& head = reader_->head_;
    head.target = text_of(target);
    if (verb == http::verb::get) head.method = Method::kGet;
    if (verb == http::verb::head) head.method = Method::kHead;
    if (verb == http::verb::post) head.method = Method::kPost;
  }
  void on_response_impl(int, BeastText, int, error_code&) override {}
  void on_field_impl(http::field, BeastText name, BeastText value, error_code&) override {
    // What follows chunks could change the head after it was looked at.
    if (is_header_done()) return;
    read_field(text_of(name), text_of(value), reader_->head_);
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(BeastText body, error_code&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t size, BeastText, error_code& error) override {
    const auto room =
        static_cast<std::uint64_t>(reader_->max_body_bytes_) - reader_->chunks_.size();
    if (size > room) error = http::error::body_limit;
  }
  std::size_t on_chunk_body_impl(std::uint64_t, BeastText body, error_code& error) override {
    auto& chunks = reader_->chunks_;
    if (body.size() > static_cast<std::uint64_t>(reader_->max_body_bytes_) - chunks.size()) {
      error = http::error::body_limit;
      return 0;
    }
    const auto* begin = reinterpret_cast<const std::byte*>(body.data());
    chunks.insert(chunks.end(), begin, begin + body.size());
    return body.size();
  }
  void on_finish_impl(error_code&) override {}

  MessageReader* reader_;
};

MessageReader::MessageReader(std::int64_t max_body_bytes)
    : max_body_bytes_(max_body_bytes), parser_(std::make_unique<Parser>(*this)) {}

MessageReader::~MessageReader() = default;

void MessageReader::restart() {
  // In its place: a parser reads one message only.
  parser_->~Parser();
  new (parser_.get()) Parser(*this);
  head_.clear();
  if (chunks_.capacity() > kKeptBytes) std::vector<std::byte>().swap(chunks_);
  chunks_.clear();
  state_ = State::kHead;
  has_begun_ = false;
}

void MessageReader::fail(int status, std::string message) {
  state_ = State::kWrong;
  fault_status_ = status;
  fault_ = std::move(message);
}

std::span<const std::byte> MessageReader::chunks() const {
  return {chunks_.data(), chunks_.size() - (chunks_.empty() ? 0 : kPaddingBytes)};
}

std::size_t MessageReader::take(std::span<const std::byte> bytes) {
  if (bytes.empty() || (state_ != State::kHead && state_ != State::kChunks)) return 0;
  has_begun_ = true;
  error_code error;
  const std::size_t taken = parser_->put({bytes.data(), bytes.size()}, error);
  if (error == http::error::header_limit) {
    fail(431, fmt::format("the head has more than {} bytes", kMaxHeadBytes));
  } else if (error == http::error::body_limit) {
    fail(413, fmt::format("the body has more than {} bytes", max_body_bytes_));
  } else if (error && error != http::error::need_more) {
    fail(400, fmt::format("this is no HTTP request: {}", error.message()));
  } else if (state_ == State::kHead && parser_->is_header_done()) {
    take_head();
    if (state_ == State::kChunks) return taken + take(bytes.subspan(taken));
  } else if (state_ == State::kChunks && parser_->is_done()) {
    if (!chunks_.empty()) chunks_.resize(chunks_.size() + kPaddingBytes);
    state_ = State::kDone;
  }
  return taken;
}

void MessageReader::take_head() {
  head_.keep_alive = parser_->keep_alive();
  head_.chunked = parser_->chunked();
  if (head_.chunked) {
    state_ = State::kChunks;
    parser_->eager(true);
  } else if (const auto length = parser_->content_length(); length && *length > 0) {
    head_.content_length = *length;
    state_ = State::kBody;
    if (*length > static_cast<std::uint64_t>(max_body_bytes_)) {
      fail(413, fmt::format("the body has {} bytes, more than {}", *length, max_body_bytes_));
    }
  } else {
    state_ = State::kDone;
  }
  if (!head_.fault.empty()) fail(400, head_.fault);
  if (head_.coding == Coding::kUnknown) {
    fail(415, "Content-Encoding is neither gzip, deflate nor identity");
  }
}

}  // namespace batchwise::serve

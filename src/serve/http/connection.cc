// SPDX-License-Identifier: Apache-2.0
#include "serve/http/connection.h"

#include <algorithm>
#include <array>
#include <utility>

#include "serve/http/compression.h"

namespace batchwise::serve {
namespace {

constexpr std::size_t kReadAheadBytes = 1024;
// Up to here a body's room is made at once, beyond it as the bytes come.
constexpr std::size_t kTrustedBytes = 256 << 10;
constexpr std::size_t kKeptBytes = 64 << 10;
constexpr std::uint32_t kLingerTicks = 8;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

std::span<const std::byte> empty_body() {
  static constexpr std::array<std::byte, InputBuffer::kPadding> kRoom{};
  return std::span<const std::byte>(kRoom).first(0);
}

}  // namespace

Connection::Connection(ConnectionGroup& group, std::unique_ptr<Stream> stream,
                       std::int32_t fair_client)
    : group_(group),
      thread_(group.thread),
      stream_(std::move(stream)),
      reader_(group.max_body_bytes) {
  head = &reader_.head();
  connection_client = fair_client;
}

void Connection::start() {
  group_.connections.push_back(self());
  place_ = std::prev(group_.connections.end());
  set_deadline(group_.body_ticks);
  stream_->handshake(self());
}

void Connection::on_handshake(bool ok) {
  if (state_ != State::kOpening) return;
  if (!ok) return close();
  state_ = State::kReading;
  set_deadline(group_.idle_ticks);
  want_read();
}

void Connection::want_read() {
  if (read_pending_ || read_ended_ || state_ == State::kClosed) return;
  const std::span<std::byte> room = input_.room();
  // A client that sends requests ahead waits until those before them are answered.
  if (room.empty()) return;
  read_pending_ = true;
  stream_->read(room, self());
}

void Connection::on_read(std::size_t bytes, bool failed) {
  read_pending_ = false;
  const bool shrinks = std::exchange(shrinking_, false);
  if (state_ == State::kClosed) return;
  if (bytes == 0 && failed && shrinks) {
    input_.shrink();
    count_held();
    return want_read();
  }
  if (bytes == 0) return on_end(failed);
  input_.add(bytes);
  if (state_ == State::kLingering) {
    input_.clear();
    return want_read();
  }
  if (state_ == State::kReading) process();
}

// The client sends no more. It may have gone, or have ended its side only and wait for the answer:
// that does not show until it is sent something. One that said that this is its last request may
// well do the latter; others get a word that means nothing, and who has gone rejects it.
void Connection::on_end(bool failed) {
  read_ended_ = true;
  const bool waits = state_ == State::kAnswering || state_ == State::kWriting;
  if (failed || !waits) return close();
  if (state_ == State::kWriting) return;
  if (reader_.head().keep_alive && !writing_continue_) write_continue();
  if (state_ == State::kAnswering) stream_->watch_failure(self());
}

void Connection::process() {
  while (state_ == State::kReading && take_request()) {
  }
  if (state_ == State::kReading && read_ended_) return close();
  if (state_ != State::kClosed) want_read();
}

// Goes on reading a request; false: more bytes are needed, or the connection does something else.
bool Connection::take_request() {
  if (!read_pending_) input_.move_to_front();
  const bool had_begun = reader_.has_begun();
  input_.consume(reader_.take(input_.pending()));
  if (!had_begun && reader_.has_begun()) set_deadline(group_.body_ticks);
  const MessageReader::State state = reader_.state();
  if (state == MessageReader::State::kWrong) {
    fail(reader_.fault_status(), reader_.fault());
    return false;
  }
  if (state == MessageReader::State::kHead) {
    if (!read_pending_) input_.reserve(kReadAheadBytes);
    return false;
  }
  if (!head_checked_ && !check_head()) return state_ == State::kReading;
  if (state == MessageReader::State::kBody) return take_body();
  if (state == MessageReader::State::kDone) {
    dispatch(reader_.chunks().empty() ? empty_body() : reader_.chunks());
    return true;
  }
  return wait_for_body(0);
}

bool Connection::take_body() {
  const auto length = static_cast<std::size_t>(*reader_.head().content_length);
  const std::size_t have = input_.pending().size();
  if (have >= length) {
    // Before the server points into it: room to see the client's end, or its next request.
    if (!read_pending_) input_.reserve(kReadAheadBytes);
    const auto bytes = input_.pending().first(length);
    input_.consume(length);
    dispatch(bytes);
    return true;
  }
  return wait_for_body(std::min(length - have, std::max(kTrustedBytes, have)));
}

// Makes room for `more` bytes, unless bodies take too much already. Always false.
bool Connection::wait_for_body(std::size_t more) {
  if (!read_pending_) input_.reserve(more + kReadAheadBytes);
  if (count_held()) {
    ask_for_body();
    return false;
  }
  answer_refusal(response, {Status::kOverloaded, "too many large bodies are being read", 1});
  keep_alive_ = false;
  respond();
  return false;
}

// Tells the others what this connection's bodies take; false where that is too much in all.
bool Connection::count_held() {
  std::size_t bytes = 0;
  for (const std::size_t each :
       {input_.capacity(), reader_.chunks().size(), unpacked_.capacity()}) {
    if (each > kKeptBytes) bytes += each;
  }
  const std::int64_t change = static_cast<std::int64_t>(bytes) - held_bytes_;
  held_bytes_ += change;
  if (change == 0) return held_bytes_ == 0 || group_.api->held_bytes <= group_.api->max_held_bytes;
  const std::int64_t before = group_.api->held_bytes.fetch_add(change, std::memory_order_relaxed);
  return change < 0 || before + change <= group_.api->max_held_bytes;
}

bool Connection::check_head() {
  head_checked_ = true;
  if (group_.api->admits(*this)) return true;
  // Of a body that nobody wants not even the end is looked for.
  keep_alive_ = reader_.state() == MessageReader::State::kDone;
  respond();
  return false;
}

void Connection::ask_for_body() {
  if (!reader_.head().expects_continue || writing_continue_ || !input_.pending().empty()) return;
  if (reader_.head().chunked && !reader_.chunks().empty()) return;
  if (asked_) return;
  asked_ = true;
  write_continue();
}

void Connection::write_continue() {
  const Stream::Bytes part = std::as_bytes(std::span(kContinue));
  const Stream::Wrote wrote = stream_->write({&part, 1}, self());
  if (wrote == Stream::Wrote::kFailed) return close();
  writing_continue_ = wrote == Stream::Wrote::kLater;
}

void Connection::dispatch(std::span<const std::byte> bytes) {
  const Coding coding = reader_.head().coding;
  if (coding == Coding::kPlain || bytes.empty()) return answer(bytes);
  const auto refusal = unpack(bytes, coding, group_.max_body_bytes, unpacked_);
  count_held();
  if (refusal) {
    answer_refusal(response, *refusal);
    return respond();
  }
  answer(std::span<const std::byte>(unpacked_).first(unpacked_.size() - kBodyPadding));
}

void Connection::answer(std::span<const std::byte> bytes) {
  body = bytes;
  state_ = State::kAnswering;
  starting_ = true;
  replied_at_once_ = false;
  const bool done = group_.api->start(self());
  starting_ = false;
  if (!done && !replied_at_once_) return;
  if (!done) group_.api->finish(*this);
  respond();
}

void Connection::replied() noexcept {
  if (thread_->is_current() && starting_) {
    replied_at_once_ = true;
  } else {
    thread_->wake(*this);
  }
}

void Connection::on_wake() {
  if (state_ == State::kClosed) {
    group_.api->finish(*this);
    response.clear();
    return leave_group();
  }
  group_.api->finish(*this);
  respond();
  if (state_ == State::kReading) process();
}

void Connection::fail(int status, const std::string& message) {
  answer_refusal(response, {Status::kInvalid, message, 0});
  response.status = status;
  keep_alive_ = false;
  respond();
}

void Connection::respond() {
  const RequestHead& asked = reader_.head();
  pack(response, asked.accepted);
  keep_alive_ = keep_alive_ && asked.keep_alive && (!read_ended_ || !input_.pending().empty()) &&
                !group_.api->stopping.load(std::memory_order_relaxed);
  write_head(head_text_, response, keep_alive_);
  parts_.clear();
  parts_.push_back(std::as_bytes(std::span(head_text_)));
  if (asked.method != Method::kHead) {
    if (!response.body.empty()) parts_.push_back(std::as_bytes(std::span(response.body)));
    parts_.insert(parts_.end(), response.tail.begin(), response.tail.end());
  }
  state_ = State::kWriting;
  set_deadline(group_.body_ticks);
  response_waits_ = writing_continue_;
  if (!response_waits_) write_response();
}

void Connection::write_response() {
  switch (stream_->write(parts_, self())) {
    case Stream::Wrote::kAll:
      return after_response();
    case Stream::Wrote::kLater:
      return want_read();
    case Stream::Wrote::kFailed:
      return close();
  }
}

void Connection::on_written(bool ok) {
  if (state_ == State::kClosed) return;
  if (!ok) return close();
  if (std::exchange(writing_continue_, false)) {
    if (std::exchange(response_waits_, false)) write_response();
    return;
  }
  after_response();
  if (state_ == State::kReading) process();
}

void Connection::after_response() {
  response.clear();
  body = {};
  if (!keep_alive_) return linger();
  reader_.restart();
  head_checked_ = asked_ = false;
  state_ = State::kReading;
  set_deadline(group_.idle_ticks);
}

// A socket closed with input unread would take the answer back from the client.
void Connection::linger() {
  if (read_ended_) return close();
  stream_->end_writing(self());
  state_ = State::kLingering;
  set_deadline(kLingerTicks);
  if (!read_pending_) input_.clear();
  want_read();
}

void Connection::on_tick() {
  const bool idle = state_ == State::kReading && !reader_.has_begun();
  if (idle && read_pending_ && !shrinking_ && input_.capacity() > kKeptBytes) {
    shrinking_ = true;
    stream_->cancel_read();
  }
  if (idle && unpacked_.capacity() > kKeptBytes) std::vector<std::byte>().swap(unpacked_);
  if (idle) trim();
  if (held_bytes_ != 0) count_held();
  if (state_ == State::kAnswering || static_cast<std::int32_t>(group_.now - deadline_) < 0) return;
  if (state_ == State::kReading && reader_.has_begun())
    return fail(408, "the request took too long");
  close();
}

void Connection::close() {
  if (state_ == State::kClosed) return;
  const bool answering = state_ == State::kAnswering;
  state_ = State::kClosed;
  stream_->close();
  // The server still points into the input: on_wake() ends it.
  if (answering) {
    cancelled.store(true, std::memory_order_relaxed);
  } else {
    leave_group();
  }
}

void Connection::leave_group() {
  group_.api->connections.fetch_sub(1, std::memory_order_relaxed);
  group_.api->held_bytes.fetch_sub(held_bytes_, std::memory_order_relaxed);
  // Who called may still need this object: it goes when that returned.
  std::shared_ptr<Connection> keep = std::move(*place_);
  group_.connections.erase(place_);
  thread_->post([keep = std::move(keep)] {});
}

}  // namespace batchwise::serve

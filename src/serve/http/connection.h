// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "serve/http/api.h"
#include "serve/http/exchange.h"
#include "serve/http/input_buffer.h"
#include "serve/http/io_thread.h"
#include "serve/http/message_reader.h"
#include "serve/http/stream.h"

namespace batchwise::serve {

class Connection;

// What the connections of one thread share. Used on that thread.
struct ConnectionGroup {
  Api* api = nullptr;
  std::shared_ptr<IoThread> thread;
  std::int64_t max_body_bytes = 0;
  std::uint32_t idle_ticks = 0, body_ticks = 0;

  std::uint32_t now = 0;  // ticks
  std::list<std::shared_ptr<Connection>> connections;
};

// A client's connection: reads a request, has it answered, writes the answer, and reads the next.
// It is the request itself, used again for each. While a request is being answered one read goes
// on, so that the end of the client is seen; what it brings is kept for later. All but replied() is
// called on the group's thread.
class Connection final : public Exchange,
                         public StreamUser,
                         public Wakeable,
                         public std::enable_shared_from_this<Connection> {
 public:
  Connection(ConnectionGroup& group, std::unique_ptr<Stream> stream, std::int32_t fair_client);

  void start();
  // Ends what has taken too long, and gives back memory that is not used.
  void on_tick();
  bool is_busy() const { return state_ == State::kAnswering || state_ == State::kWriting; }
  void close();

  void on_handshake(bool ok) override;
  void on_read(std::size_t bytes, bool failed) override;
  void on_written(bool ok) override;
  void on_wake() override;

 private:
  enum class State : std::uint8_t {
    kOpening,
    kReading,
    kAnswering,  // the server has the request, and points into the input
    kWriting,
    kLingering,  // all is said: what comes is thrown away until the client has read the answer
    kClosed,
  };

  void replied() noexcept override;

  void on_end(bool failed);
  void process();
  bool take_request();
  bool take_body();
  bool check_head();
  bool wait_for_body(std::size_t more);
  bool count_held();
  void ask_for_body();
  void write_continue();
  void dispatch(std::span<const std::byte> body);
  void answer(std::span<const std::byte> body);
  void fail(int status, const std::string& message);
  void respond();
  void write_response();
  void after_response();
  void linger();
  void want_read();
  void leave_group();
  void set_deadline(std::uint32_t ticks) { deadline_ = group_.now + ticks; }
  std::shared_ptr<Connection> self() { return shared_from_this(); }

  ConnectionGroup& group_;
  const std::shared_ptr<IoThread> thread_;  // outlives the stream
  std::unique_ptr<Stream> stream_;
  MessageReader reader_;
  InputBuffer input_;
  std::vector<std::byte> unpacked_;
  std::string head_text_;
  std::vector<Stream::Bytes> parts_;
  std::int64_t held_bytes_ = 0;  // of Api::held_bytes
  std::uint32_t deadline_ = 0;   // a tick; of kAnswering there is none
  State state_ = State::kOpening;
  bool head_checked_ = false, asked_ = false;
  bool read_pending_ = false, read_ended_ = false, shrinking_ = false;
  bool writing_continue_ = false, response_waits_ = false;
  bool keep_alive_ = true;
  bool starting_ = false, replied_at_once_ = false;
  std::list<std::shared_ptr<Connection>>::iterator place_;
};

}  // namespace batchwise::serve

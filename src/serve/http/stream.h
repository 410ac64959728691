// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace batchwise::serve {

class IoThread;

// Who is told what became of a stream's operations, always on the stream's thread.
class StreamUser {
 public:
  virtual ~StreamUser() = default;
  // `bytes` came; 0: the client will send no more, or the stream failed.
  virtual void on_read(std::size_t bytes, bool failed) = 0;
  // What write() left for later is written, or will not be.
  virtual void on_written(bool ok) = 0;
  virtual void on_handshake(bool ok) = 0;
};

// A connected socket, plain or with TLS. One read and one write at a time. Used on its thread only.
// Keeps its user alive while an operation goes on.
class Stream {
 public:
  using Bytes = std::span<const std::byte>;
  enum class Wrote : std::uint8_t { kAll, kLater, kFailed };

  virtual ~Stream() = default;
  // Ends with on_handshake(), at once where there is nothing to agree on.
  virtual void handshake(std::shared_ptr<StreamUser> user) = 0;
  virtual void read(std::span<std::byte> room, std::shared_ptr<StreamUser> user) = 0;
  // Ends a read with on_read(0, true).
  virtual void cancel_read() = 0;
  // After the end of what is read: on_read(0, true) when the client has gone altogether.
  virtual void watch_failure(std::shared_ptr<StreamUser> user) = 0;
  // kLater: the bytes must stay until on_written().
  virtual Wrote write(std::span<const Bytes> parts, std::shared_ptr<StreamUser> user) = 0;
  // No more is written; the client sees the end.
  virtual void end_writing(std::shared_ptr<StreamUser> user) = 0;
  virtual void close() = 0;
};

// The certificate and key that a server shows. Throws Error{kEnvironment} for files that cannot be
// read or do not belong together.
class TlsContext {
 public:
  TlsContext(const std::string& certificate, const std::string& key);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// Takes over a connected socket. `tls` may be null: plain.
std::unique_ptr<Stream> make_stream(IoThread& thread, int socket, TlsContext* tls);

}  // namespace batchwise::serve

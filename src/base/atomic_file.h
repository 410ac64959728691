// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace batchwise {

// Writes all bytes to `fd` or throws Error{kEnvironment} with the path and the system's reason. A
// file size limit (RLIMIT_FSIZE) comes back as that error too, not as a signal.
void write_fully(int fd, const void* data, std::size_t bytes, std::string_view path);

// What a test makes of the writes of write_fully(): called before each with the path and the bytes
// about to be written; an errno it returns is taken as the outcome, 0 lets the write happen.
// nullptr ends it. The function must be callable from any thread.
using WriteFault = int (*)(std::string_view path, std::size_t bytes);
void inject_write_fault(WriteFault fault);

// A file that appears whole or not at all: written without a name (or under a temporary one) in the
// folder of `path`, and put in place of what was there by finish(). Without finish() nothing is
// left. A path that is a device or a pipe is written directly. All failures are Error{kEnvironment}
// with the path. Not thread-safe.
//
//   AtomicFile file("out.json");
//   file.write(text);
//   file.finish();
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  // Writes at a place of its own, past the end too; refused on a device or a pipe.
  void write_at(std::uint64_t offset, std::string_view text);
  // Puts what was written on the disk: afterwards a full one cannot make finish() fail. For whoever
  // finishes several files or none.
  void flush();
  // Flushes and renames. Nothing may be written afterwards.
  void finish();

  const std::string& path() const { return path_; }
  std::uint64_t bytes_written() const { return bytes_written_; }

 private:
  void open_beside();
  void name_unnamed();
  void discard();

  std::string path_;    // as given, for messages
  std::string target_;  // symbolic links followed
  std::string temporary_path_;
  int fd_ = -1;
  bool direct_ = false;    // a device or a pipe
  bool has_name_ = false;  // temporary_path_ exists in the folder
  std::uint64_t bytes_written_ = 0;
};

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace batchwise {

// A regular file open for reading at any offset. Immutable after open and safe to read from several
// threads; holds a descriptor and no buffer.
class InputFile {
 public:
  // Throws Error{kInvalidInput} where the file is missing or not a regular file.
  static std::shared_ptr<const InputFile> open(const std::string& path);
  // Takes over a descriptor; `path` is what messages say.
  InputFile(int fd, std::string path, std::int64_t size_bytes)
      : fd_(fd), path_(std::move(path)), size_bytes_(size_bytes) {}
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  std::int64_t size_bytes() const { return size_bytes_; }
  // Fills `out` from `offset`; throws Error where the file ends before.
  void read_at(std::int64_t offset, std::span<std::byte> out) const;
  // Reads up to out.size() bytes; 0 at the end of the file.
  std::size_t read_some(std::int64_t offset, std::span<std::byte> out) const;

 private:
  int fd_;
  std::string path_;
  std::int64_t size_bytes_;
};

// Bytes that come one after another. Not thread-safe.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Fills `out` as far as the data goes: fewer bytes mean that the end was reached.
  virtual std::size_t read(std::span<std::byte> out) = 0;
  // Passes over up to `bytes` bytes and says how many there were.
  virtual std::int64_t skip(std::int64_t bytes);
};

// The content of `file`, inflated where it is gzip (told by its first bytes, several members in a
// row included). Damaged or truncated gzip data throws Error{kInvalidInput} with the path.
std::unique_ptr<ByteStream> open_stream(std::shared_ptr<const InputFile> file);
bool is_gzip(const InputFile& file);

// Raw deflate data (a member of a zip file) at [offset, offset + bytes) of `file`.
std::unique_ptr<ByteStream> open_deflate_stream(std::shared_ptr<const InputFile> file,
                                                std::int64_t offset, std::int64_t bytes);

}  // namespace batchwise

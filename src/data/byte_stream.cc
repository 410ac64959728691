// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "data/input_file.h"

namespace batchwise {
namespace {

constexpr std::size_t kInputBytes = 64 * 1024;

class PlainStream : public ByteStream {
 public:
  explicit PlainStream(std::shared_ptr<const InputFile> file) : file_(std::move(file)) {}
  std::size_t read(std::span<std::byte> out) override {
    const std::size_t count = file_->read_some(offset_, out);
    offset_ += static_cast<std::int64_t>(count);
    return count;
  }
  std::int64_t skip(std::int64_t bytes) override {
    const std::int64_t rest = std::max<std::int64_t>(file_->size_bytes() - offset_, 0);
    const std::int64_t count = std::min(bytes, rest);
    offset_ += count;
    return count;
  }

 private:
  std::shared_ptr<const InputFile> file_;
  std::int64_t offset_ = 0;
};

class InflateStream : public ByteStream {
 public:
  // Window bits as zlib means them: 31 for gzip, -15 for raw deflate.
  InflateStream(std::shared_ptr<const InputFile> file, std::int64_t begin, std::int64_t end,
                int window_bits)
      : file_(std::move(file)), offset_(begin), end_(end), gzip_(window_bits > 0) {
    if (inflateInit2(&zlib_, window_bits) != Z_OK) {
      fail_environment(file_->path(), "no memory to inflate");
    }
  }
  ~InflateStream() override { inflateEnd(&zlib_); }
  InflateStream(const InflateStream&) = delete;
  InflateStream& operator=(const InflateStream&) = delete;

  std::size_t read(std::span<std::byte> out) override {
    std::size_t done = 0;
    while (done < out.size() && !finished_) {
      if (zlib_.avail_in == 0 && !refill()) {
        fail_input(file_->path(), "compressed data ends early: {} bytes inflated",
                   total_ + static_cast<std::int64_t>(done));
      }
      done += inflate_into(out.subspan(done));
      if (member_ended_) begin_next_member();
    }
    total_ += static_cast<std::int64_t>(done);
    return done;
  }

 private:
  bool refill() {
    const auto wanted = static_cast<std::size_t>(
        std::clamp<std::int64_t>(end_ - offset_, 0, static_cast<std::int64_t>(kInputBytes)));
    const std::size_t count = file_->read_some(offset_, std::span(input_).first(wanted));
    offset_ += static_cast<std::int64_t>(count);
    zlib_.next_in = reinterpret_cast<Bytef*>(input_.data());
    zlib_.avail_in = static_cast<uInt>(count);
    return count > 0;
  }

  std::size_t inflate_into(std::span<std::byte> out) {
    const std::size_t room = std::min<std::size_t>(out.size(), std::size_t{1} << 30);
    zlib_.next_out = reinterpret_cast<Bytef*>(out.data());
    zlib_.avail_out = static_cast<uInt>(room);
    const int status = inflate(&zlib_, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
      fail_input(file_->path(), "damaged compressed data before byte {}: {}",
                 offset_ - static_cast<std::int64_t>(zlib_.avail_in),
                 zlib_.msg != nullptr ? zlib_.msg : "unknown");
    }
    member_ended_ = status == Z_STREAM_END;
    return room - zlib_.avail_out;
  }

  void begin_next_member() {
    member_ended_ = false;
    // Gzip files may be joined; zeros after the last one are padding.
    while (gzip_ && (zlib_.avail_in > 0 || refill())) {
      if (*zlib_.next_in != 0) {
        inflateReset(&zlib_);
        return;
      }
      ++zlib_.next_in;
      --zlib_.avail_in;
    }
    finished_ = true;
  }

  std::shared_ptr<const InputFile> file_;
  std::int64_t offset_;
  const std::int64_t end_;
  const bool gzip_;
  bool member_ended_ = false;
  bool finished_ = false;
  std::int64_t total_ = 0;
  z_stream zlib_{};
  std::array<std::byte, kInputBytes> input_;
};

}  // namespace

std::int64_t ByteStream::skip(std::int64_t bytes) {
  std::array<std::byte, 4096> passed;
  std::int64_t done = 0;
  while (done < bytes) {
    const auto wanted = static_cast<std::size_t>(
        std::min<std::int64_t>(bytes - done, static_cast<std::int64_t>(passed.size())));
    const std::size_t count = read(std::span(passed).first(wanted));
    done += static_cast<std::int64_t>(count);
    if (count < wanted) break;
  }
  return done;
}

bool is_gzip(const InputFile& file) {
  std::array<std::byte, 2> magic{};
  return file.read_some(0, magic) == 2 && magic[0] == std::byte{0x1f} &&
         magic[1] == std::byte{0x8b};
}

std::unique_ptr<ByteStream> open_stream(std::shared_ptr<const InputFile> file) {
  if (!is_gzip(*file)) return std::make_unique<PlainStream>(std::move(file));
  const std::int64_t end = file->size_bytes();
  return std::make_unique<InflateStream>(std::move(file), 0, end, 31);
}

std::unique_ptr<ByteStream> open_deflate_stream(std::shared_ptr<const InputFile> file,
                                                std::int64_t offset, std::int64_t bytes) {
  return std::make_unique<InflateStream>(std::move(file), offset, offset + bytes, -15);
}

}  // namespace batchwise

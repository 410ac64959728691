// SPDX-License-Identifier: Apache-2.0
#include "serve/http/compression.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <string>

namespace batchwise::serve {
namespace {

constexpr std::size_t kLeastPackedBytes = 1024;
constexpr int kGzipWindow = MAX_WBITS + 16;

// zlib takes its input as not constant, and does not change it.
Bytef* input_of(std::span<const std::byte> bytes) {
  return reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
}

// "deflate" is zlib's format; some clients send the bare one.
int unpacking_window(std::span<const std::byte> packed, Coding coding) {
  if (coding == Coding::kGzip) return kGzipWindow;
  const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(packed[i]); };
  const bool is_zlib =
      packed.size() >= 2 && (byte(0) & 0x0FU) == 8 && (byte(0) * 256 + byte(1)) % 31 == 0;
  return is_zlib ? MAX_WBITS : -MAX_WBITS;
}

struct Inflater {
  explicit Inflater(int window) { ok = inflateInit2(&stream, window) == Z_OK; }
  ~Inflater() {
    if (ok) inflateEnd(&stream);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  z_stream stream{};
  bool ok = false;
};

Refusal invalid(std::string message) { return {Status::kInvalid, std::move(message), 0}; }

}  // namespace

std::optional<Refusal> unpack(std::span<const std::byte> packed, Coding coding, std::int64_t most,
                              std::vector<std::byte>& plain) {
  Inflater inflater(unpacking_window(packed, coding));
  if (!inflater.ok) return Refusal{Status::kInternal, "zlib: inflateInit2 failed", 0};
  z_stream& stream = inflater.stream;
  stream.next_in = input_of(packed);
  stream.avail_in = static_cast<uInt>(packed.size());
  std::size_t size = 0;
  int result = Z_OK;
  while (result == Z_OK) {
    if (size > static_cast<std::size_t>(most)) {
      plain.clear();
      return Refusal{Status::kTooLarge, fmt::format("the body unpacks to more than {} bytes", most),
                     0};
    }
    plain.resize(std::clamp<std::size_t>(size * 2, 4096, static_cast<std::size_t>(most) + 1) +
                 kBodyPadding);
    const std::size_t room = plain.size() - kBodyPadding - size;
    stream.next_out = reinterpret_cast<Bytef*>(plain.data() + size);
    stream.avail_out = static_cast<uInt>(room);
    result = inflate(&stream, Z_NO_FLUSH);
    size += room - stream.avail_out;
  }
  if (result != Z_STREAM_END || stream.avail_in != 0) {
    plain.clear();
    return invalid(fmt::format("the body does not unpack, after {} bytes", size));
  }
  if (size > static_cast<std::size_t>(most)) {
    return Refusal{Status::kTooLarge, fmt::format("the body unpacks to more than {} bytes", most),
                   0};
  }
  plain.resize(size + kBodyPadding);
  return std::nullopt;
}

void pack(Response& response, Coding coding) {
  const std::size_t bytes = response.bytes();
  const bool packs = coding == Coding::kGzip || coding == Coding::kDeflate;
  if (!packs || bytes < kLeastPackedBytes || bytes > std::numeric_limits<uInt>::max() / 2) return;
  z_stream stream{};
  const int window = coding == Coding::kGzip ? kGzipWindow : MAX_WBITS;
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return;
  }
  std::string packed(deflateBound(&stream, bytes), '\0');
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const auto feed = [&](std::span<const std::byte> part, int flush) {
    stream.next_in = input_of(part);
    stream.avail_in = static_cast<uInt>(part.size());
    deflate(&stream, flush);
  };
  feed(std::as_bytes(std::span(response.body)), response.tail.empty() ? Z_FINISH : Z_NO_FLUSH);
  for (std::size_t i = 0; i < response.tail.size(); ++i) {
    feed(response.tail[i], i + 1 == response.tail.size() ? Z_FINISH : Z_NO_FLUSH);
  }
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  response.body = std::move(packed);
  response.tail.clear();
  response.memory.reset();
  response.fields +=
      coding == Coding::kGzip ? "Content-Encoding: gzip\r\n" : "Content-Encoding: deflate\r\n";
}

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#include "data/tar.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"

namespace batchwise {
namespace {

constexpr std::int64_t kBlockBytes = 512;
constexpr std::int64_t kMaxTextBytes = 1 << 20;
constexpr std::int64_t kMaxSize = std::int64_t{1} << 60;

// A text field ends at a zero or at its last byte.
std::string text_field(std::span<const std::byte> bytes) {
  const auto end = std::find(bytes.begin(), bytes.end(), std::byte{0});
  return {reinterpret_cast<const char*>(bytes.data()),
          static_cast<std::size_t>(end - bytes.begin())};
}

// Octal digits, or, where the top bit is set, a big-endian number.
std::int64_t number_field(std::span<const std::byte> bytes, const std::string& path) {
  std::uint64_t value = 0;
  if ((bytes[0] & std::byte{0x80}) != std::byte{0}) {
    for (std::size_t i = 1; i < bytes.size(); ++i) {
      if (value >> 56 != 0) fail_input(path, "damaged tar archive: a size of more than 8 bytes");
      value = value << 8 | static_cast<std::uint64_t>(bytes[i]);
    }
  } else {
    const std::string text = text_field(bytes);
    const std::size_t begin = std::min(text.find_first_not_of(' '), text.size());
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + begin, end, value, 8);
    if (error != std::errc() || (stop != end && *stop != ' ')) {
      fail_input(path, "damaged tar archive: a number is not one");
    }
  }
  if (value > static_cast<std::uint64_t>(kMaxSize)) {
    fail_input(path, "damaged tar archive: a size of {}", value);
  }
  return static_cast<std::int64_t>(value);
}

std::int64_t padded(std::int64_t bytes) {
  return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

}  // namespace

TarReader::TarReader(std::unique_ptr<ByteStream> stream, std::string path)
    : stream_(std::move(stream)), path_(std::move(path)) {}

bool TarReader::read_block(Block& block) {
  const std::size_t count = stream_->read(block);
  offset_ += static_cast<std::int64_t>(count);
  if (count == 0) return false;
  if (count < block.size()) fail_input(path_, "the tar archive ends early, at byte {}", offset_);
  return true;
}

void TarReader::check_sum(const Block& block) const {
  std::int64_t sum = 8 * ' ';  // the field itself counts as spaces
  for (std::size_t i = 0; i < block.size(); ++i) {
    if (i < 148 || i >= 156) sum += static_cast<std::int64_t>(block[i]);
  }
  const std::int64_t written = number_field(std::span(block).subspan(148, 8), path_);
  if (sum != written) {
    fail_input(path_, "not a tar archive, or damaged: checksum {} instead of {} at byte {}",
               written, sum, offset_ - kBlockBytes);
  }
}

void TarReader::pass_over(std::int64_t bytes) {
  const std::int64_t done = stream_->skip(bytes);
  offset_ += done;
  if (done < bytes) fail_input(path_, "the tar archive ends early, at byte {}", offset_);
}

std::string TarReader::read_text(std::int64_t bytes) {
  if (bytes > kMaxTextBytes) fail_input(path_, "damaged tar archive: a name of {} bytes", bytes);
  std::string text(static_cast<std::size_t>(padded(bytes)), '\0');
  const std::size_t count = stream_->read(std::as_writable_bytes(std::span(text)));
  offset_ += static_cast<std::int64_t>(count);
  if (count < text.size()) fail_input(path_, "the tar archive ends early, at byte {}", offset_);
  text.resize(static_cast<std::size_t>(bytes));
  return text;
}

// Records are "LENGTH KEY=VALUE\n".
void TarReader::apply_pax(const std::string& records, TarEntry& entry) const {
  std::string_view rest = records;
  while (!rest.empty()) {
    std::size_t length = 0;
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), length);
    const auto digits = static_cast<std::size_t>(stop - rest.data());
    if (error != std::errc() || length < digits + 2 || length > rest.size()) {
      fail_input(path_, "damaged tar archive: a pax record at byte {}", offset_);
    }
    const std::string_view record = rest.substr(digits + 1, length - digits - 2);
    rest.remove_prefix(length);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    if (key == "path") entry.name = value;
    if (key != "size") continue;
    std::int64_t size = -1;
    std::from_chars(value.data(), value.data() + value.size(), size);
    if (size < 0 || size > kMaxSize) fail_input(path_, "damaged tar archive: a pax size");
    entry.size_bytes = size;
  }
}

bool TarReader::next(TarEntry& entry) {
  pass_over(std::exchange(unread_bytes_, 0));
  TarEntry described{{}, -1, 0};  // what a pax or GNU header says of the entry after it
  Block block;
  while (read_block(block)) {
    const std::span<const std::byte> bytes(block);
    if (std::all_of(block.begin(), block.end(), [](std::byte b) { return b == std::byte{0}; })) {
      return false;
    }
    check_sum(block);
    std::int64_t size = number_field(bytes.subspan(124, 12), path_);
    const char type = static_cast<char>(bytes[156]);
    if (type == 'L' || type == 'x') {
      const std::string text = read_text(size);
      if (type == 'L') described.name = text.substr(0, text.find('\0'));
      if (type == 'x') apply_pax(text, described);
      continue;
    }
    if (described.size_bytes >= 0) size = described.size_bytes;
    unread_bytes_ = padded(size);
    if (type == '0' || type == '\0' || type == '7') {
      entry.name = described.name;
      const std::string prefix = text_field(bytes.subspan(345, 155));
      const bool is_ustar = text_field(bytes.subspan(257, 5)) == "ustar";
      if (entry.name.empty()) entry.name = text_field(bytes.subspan(0, 100));
      if (described.name.empty() && is_ustar && bytes[262] == std::byte{0} && !prefix.empty()) {
        entry.name = prefix + "/" + entry.name;
      }
      entry.size_bytes = size;
      entry.data_offset = offset_;
      return true;
    }
    pass_over(std::exchange(unread_bytes_, 0));
    described = TarEntry{{}, -1, 0};
  }
  return false;
}

void TarReader::read_data(std::span<std::byte> out) {
  BW_CHECK(std::ssize(out) <= unread_bytes_);
  const std::size_t count = stream_->read(out);
  offset_ += static_cast<std::int64_t>(count);
  unread_bytes_ -= static_cast<std::int64_t>(count);
  if (count < out.size()) fail_input(path_, "the tar archive ends early, at byte {}", offset_);
}

}  // namespace batchwise

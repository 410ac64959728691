// SPDX-License-Identifier: Apache-2.0
#include "data/zip.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/check.h"
#include "data/formats.h"

namespace batchwise {
namespace {

constexpr std::uint32_t kEndSignature = 0x06054b50;
constexpr std::uint32_t kEnd64Signature = 0x06064b50;
constexpr std::uint32_t kLocator64Signature = 0x07064b50;
constexpr std::uint32_t kCentralSignature = 0x02014b50;
constexpr std::uint32_t kLocalSignature = 0x04034b50;
constexpr std::int64_t kEndBytes = 22;
constexpr std::int64_t kMaxCommentBytes = 65535;
constexpr std::int64_t kMaxDirectoryBytes = 64 << 20;

// Little-endian fields of a record; its ends are checked.
class Fields {
 public:
  Fields(std::span<const std::byte> bytes, const std::string& path) : bytes_(bytes), path_(path) {}
  template <typename T>
  T at(std::size_t offset) const {
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) {
      fail_input(path_, "damaged zip archive: a record of {} bytes ends early", bytes_.size());
    }
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }
  Fields part(std::size_t offset, std::size_t count) const {
    if (offset > bytes_.size() || bytes_.size() - offset < count) {
      fail_input(path_, "damaged zip archive: a record of {} bytes ends early", bytes_.size());
    }
    return {bytes_.subspan(offset, count), path_};
  }
  std::size_t size() const { return bytes_.size(); }
  std::string text() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

 private:
  std::span<const std::byte> bytes_;
  const std::string& path_;
};

std::vector<std::byte> read_bytes(const InputFile& file, std::int64_t offset, std::int64_t bytes) {
  if (offset < 0 || bytes < 0 || offset > file.size_bytes() - bytes) {
    fail_input(file.path(), "damaged zip archive: {} bytes at {} of {}", bytes, offset,
               file.size_bytes());
  }
  std::vector<std::byte> result(static_cast<std::size_t>(bytes));
  file.read_at(offset, result);
  return result;
}

std::int64_t checked(std::uint64_t value, const std::string& path) {
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    fail_input(path, "damaged zip archive: a size of {}", value);
  }
  return static_cast<std::int64_t>(value);
}

struct Directory {
  std::int64_t offset, bytes, entries;
};

Directory find_directory64(const InputFile& file, std::int64_t locator_offset) {
  const auto locator = read_bytes(file, locator_offset, 20);
  const Fields locator_fields(locator, file.path());
  if (locator_fields.at<std::uint32_t>(0) != kLocator64Signature) {
    fail_input(file.path(), "damaged zip archive: no zip64 locator at {}", locator_offset);
  }
  const auto end = read_bytes(file, checked(locator_fields.at<std::uint64_t>(8), file.path()), 56);
  const Fields fields(end, file.path());
  if (fields.at<std::uint32_t>(0) != kEnd64Signature) {
    fail_input(file.path(), "damaged zip archive: no zip64 directory end");
  }
  return {checked(fields.at<std::uint64_t>(48), file.path()),
          checked(fields.at<std::uint64_t>(40), file.path()),
          checked(fields.at<std::uint64_t>(32), file.path())};
}

// The end record is the last one, before a comment of unknown length.
Directory find_directory(const InputFile& file) {
  const std::int64_t tail_bytes = std::min(file.size_bytes(), kEndBytes + kMaxCommentBytes);
  const std::int64_t tail_offset = file.size_bytes() - tail_bytes;
  const auto tail = read_bytes(file, tail_offset, tail_bytes);
  const Fields fields(tail, file.path());
  for (std::int64_t at = tail_bytes - kEndBytes; at >= 0; --at) {
    const auto begin = static_cast<std::size_t>(at);
    if (fields.at<std::uint32_t>(begin) != kEndSignature) continue;
    const Directory found{fields.at<std::uint32_t>(begin + 16),
                          fields.at<std::uint32_t>(begin + 12),
                          fields.at<std::uint16_t>(begin + 10)};
    const bool is_64 =
        found.offset == 0xffffffff || found.bytes == 0xffffffff || found.entries == 0xffff;
    return is_64 ? find_directory64(file, tail_offset + at - 20) : found;
  }
  fail_input(file.path(), "not a zip archive, or one that was cut off ({} bytes)",
             file.size_bytes());
}

// Sizes that did not fit in 32 bits stand, in this order, in the extra field 1.
void read_sizes64(const Fields& extra, bool size, bool stored, bool offset, ZipMember& member,
                  std::int64_t& local_offset, const std::string& path) {
  std::size_t at = 0;
  while (at + 4 <= extra.size()) {
    const auto id = extra.at<std::uint16_t>(at);
    const Fields body = extra.part(at + 4, extra.at<std::uint16_t>(at + 2));
    at += 4 + body.size();
    if (id != 1) continue;
    std::size_t next = 0;
    const auto take = [&](bool wanted, std::int64_t& value) {
      if (!wanted) return;
      value = checked(body.at<std::uint64_t>(next), path);
      next += 8;
    };
    take(size, member.size_bytes);
    take(stored, member.stored_bytes);
    take(offset, local_offset);
    return;
  }
  fail_input(path, "damaged zip archive: a zip64 size is missing");
}

ZipMember read_entry(const InputFile& file, const Fields& fields, std::size_t begin,
                     std::size_t& next) {
  if (fields.at<std::uint32_t>(begin) != kCentralSignature) {
    fail_input(file.path(), "damaged zip archive: no directory entry at {}", begin);
  }
  const std::size_t name_bytes = fields.at<std::uint16_t>(begin + 28);
  const std::size_t extra_bytes = fields.at<std::uint16_t>(begin + 30);
  next = begin + 46 + name_bytes + extra_bytes + fields.at<std::uint16_t>(begin + 32);
  ZipMember member;
  member.name = fields.part(begin + 46, name_bytes).text();
  const auto flags = fields.at<std::uint16_t>(begin + 8);
  const auto method = fields.at<std::uint16_t>(begin + 10);
  if ((flags & 1) != 0 || (method != 0 && method != 8)) {
    fail_input(file.path(),
               "member '{}' is encrypted or compressed by method {}: only stored and "
               "deflated ones can be read",
               printable(member.name), method);
  }
  member.deflated = method == 8;
  member.stored_bytes = fields.at<std::uint32_t>(begin + 20);
  member.size_bytes = fields.at<std::uint32_t>(begin + 24);
  std::int64_t local_offset = fields.at<std::uint32_t>(begin + 42);
  constexpr std::int64_t kElsewhere = 0xffffffff;
  if (member.size_bytes == kElsewhere || member.stored_bytes == kElsewhere ||
      local_offset == kElsewhere) {
    read_sizes64(fields.part(begin + 46 + name_bytes, extra_bytes), member.size_bytes == kElsewhere,
                 member.stored_bytes == kElsewhere, local_offset == kElsewhere, member,
                 local_offset, file.path());
  }
  const auto local = read_bytes(file, local_offset, 30);
  const Fields local_fields(local, file.path());
  if (local_fields.at<std::uint32_t>(0) != kLocalSignature) {
    fail_input(file.path(), "damaged zip archive: no member at {}", local_offset);
  }
  member.data_offset =
      local_offset + 30 + local_fields.at<std::uint16_t>(26) + local_fields.at<std::uint16_t>(28);
  return member;
}

}  // namespace

std::vector<ZipMember> list_zip(const InputFile& file) {
  const Directory directory = find_directory(file);
  if (directory.bytes > kMaxDirectoryBytes) {
    fail_input(file.path(), "zip directory of {} bytes", directory.bytes);
  }
  const auto bytes = read_bytes(file, directory.offset, directory.bytes);
  const Fields fields(bytes, file.path());
  std::vector<ZipMember> members;
  std::size_t at = 0;
  for (std::int64_t i = 0; i < directory.entries; ++i) {
    ZipMember member = read_entry(file, fields, at, at);
    // Deflate makes nothing smaller than a 1032nd.
    const bool lies = member.deflated ? member.size_bytes / 1032 > member.stored_bytes
                                      : member.size_bytes != member.stored_bytes;
    if (lies || member.data_offset > file.size_bytes() - member.stored_bytes) {
      fail_input(file.path(), "member '{}' says {} bytes from {} at {}, the file has {}",
                 printable(member.name), member.size_bytes, member.stored_bytes, member.data_offset,
                 file.size_bytes());
    }
    members.push_back(std::move(member));
  }
  return members;
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "data/npz_writer.h"

#include <zlib.h>

#include <cstring>
#include <string_view>
#include <utility>

#include "base/atomic_file.h"
#include "base/check.h"
#include "data/npy.h"

namespace batchwise {
namespace {

template <typename T>
void put(std::string& record, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  record.append(bytes, sizeof(T));
}

struct Member {
  std::string name;  // in the archive
  std::string header;
  std::uint64_t row_bytes = 0;
  std::uint64_t local_offset = 0, next_offset = 0, size_bytes = 0;
  std::uint32_t crc = 0;
};

constexpr std::uint16_t kVersion64 = 45;
constexpr std::uint16_t kFirstDate = 0x21;  // 1 January 1980: the same bytes at every run
constexpr std::uint32_t kIn64 = 0xffffffff;

// What local and central headers share. Sizes stand in the zip64 extra field, always.
void put_description(std::string& record, const Member& member, std::size_t extra_bytes) {
  put<std::uint16_t>(record, kVersion64);
  put<std::uint16_t>(record, 0x800);  // the name is UTF-8
  put<std::uint16_t>(record, 0);      // stored
  put<std::uint16_t>(record, 0);
  put<std::uint16_t>(record, kFirstDate);
  put<std::uint32_t>(record, member.crc);
  put<std::uint32_t>(record, kIn64);
  put<std::uint32_t>(record, kIn64);
  put<std::uint16_t>(record, static_cast<std::uint16_t>(member.name.size()));
  put<std::uint16_t>(record, static_cast<std::uint16_t>(extra_bytes));
}

std::string local_header(const Member& member) {
  std::string record;
  put<std::uint32_t>(record, 0x04034b50);
  put_description(record, member, 20);
  record += member.name;
  put<std::uint16_t>(record, 1);
  put<std::uint16_t>(record, 16);
  put<std::uint64_t>(record, member.size_bytes);
  put<std::uint64_t>(record, member.size_bytes);
  return record;
}

std::string central_header(const Member& member) {
  std::string record;
  put<std::uint32_t>(record, 0x02014b50);
  put<std::uint16_t>(record, kVersion64);
  put_description(record, member, 28);
  put<std::uint16_t>(record, 0);  // comment
  put<std::uint16_t>(record, 0);  // disk
  put<std::uint16_t>(record, 0);
  put<std::uint32_t>(record, 0);
  put<std::uint32_t>(record, kIn64);
  record += member.name;
  put<std::uint16_t>(record, 1);
  put<std::uint16_t>(record, 24);
  put<std::uint64_t>(record, member.size_bytes);
  put<std::uint64_t>(record, member.size_bytes);
  put<std::uint64_t>(record, member.local_offset);
  return record;
}

std::string directory_end(std::uint64_t offset, std::uint64_t bytes, std::uint64_t entries) {
  std::string record;
  put<std::uint32_t>(record, 0x06064b50);
  put<std::uint64_t>(record, 44);
  put<std::uint16_t>(record, kVersion64);
  put<std::uint16_t>(record, kVersion64);
  put<std::uint32_t>(record, 0);
  put<std::uint32_t>(record, 0);
  put<std::uint64_t>(record, entries);
  put<std::uint64_t>(record, entries);
  put<std::uint64_t>(record, bytes);
  put<std::uint64_t>(record, offset);
  put<std::uint32_t>(record, 0x07064b50);
  put<std::uint32_t>(record, 0);
  put<std::uint64_t>(record, offset + bytes);
  put<std::uint32_t>(record, 1);
  put<std::uint32_t>(record, 0x06054b50);
  put<std::uint32_t>(record, 0);
  put<std::uint16_t>(record, 0xffff);
  put<std::uint16_t>(record, 0xffff);
  put<std::uint32_t>(record, kIn64);
  put<std::uint32_t>(record, kIn64);
  put<std::uint16_t>(record, 0);
  return record;
}

class NpzWriter : public OutputWriter {
 public:
  NpzWriter(const std::string& path, const std::vector<OutputInfo>& outputs,
            std::int64_t total_rows)
      : file_(path), total_rows_(total_rows) {
    for (const OutputInfo& output : outputs) add_member(output);
  }

  void append(std::span<const std::byte* const> outputs, std::int64_t rows) override {
    rows_ += rows;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      Member& member = members_[i];
      const auto bytes = static_cast<std::size_t>(rows) * member.row_bytes;
      write(member, {reinterpret_cast<const char*>(outputs[i]), bytes});
    }
  }

  void finish() override {
    BW_CHECK(rows_ == total_rows_, "{}: {} rows of {}", file_.path(), rows_, total_rows_);
    std::string directory;
    for (const Member& member : members_) {
      file_.write_at(member.local_offset, local_header(member));
      directory += central_header(member);
    }
    const std::uint64_t bytes = directory.size();
    directory += directory_end(end_, bytes, members_.size());
    file_.write_at(end_, directory);
    file_.finish();
  }

 private:
  void add_member(const OutputInfo& output) {
    Member member;
    member.name = output.name + ".npy";
    BW_CHECK(member.name.size() < 65536);
    std::vector<std::int64_t> shape = output.shape.dims();
    shape.insert(shape.begin(), total_rows_);
    member.header = make_npy_header(output.dtype, shape);
    member.row_bytes =
        static_cast<std::uint64_t>(output.shape.elements()) * dtype_bytes(output.dtype);
    member.size_bytes =
        member.header.size() + member.row_bytes * static_cast<std::uint64_t>(total_rows_);
    member.local_offset = end_;
    member.next_offset = end_ + local_header(member).size();
    end_ = member.next_offset + member.size_bytes;
    members_.push_back(std::move(member));
    write(members_.back(), members_.back().header);
  }

  void write(Member& member, std::string_view bytes) {
    file_.write_at(member.next_offset, bytes);
    member.next_offset += bytes.size();
    member.crc = static_cast<std::uint32_t>(
        crc32_z(member.crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
  }

  AtomicFile file_;
  std::int64_t total_rows_;
  std::int64_t rows_ = 0;
  std::vector<Member> members_;
  std::uint64_t end_ = 0;  // where the next member, or the directory, begins
};

}  // namespace

std::unique_ptr<OutputWriter> make_npz_writer(const std::string& path,
                                              std::vector<OutputInfo> outputs,
                                              std::int64_t total_rows) {
  return std::make_unique<NpzWriter>(path, outputs, total_rows);
}

}  // namespace batchwise

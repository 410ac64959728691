// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "data/input_file.h"

namespace batchwise {

// A regular file in a tar archive.
struct TarEntry {
  std::string name;
  std::int64_t size_bytes = 0;
  std::int64_t data_offset = 0;  // in the (inflated) archive
};

// Walks through a tar archive (ustar, pax or GNU) from front to back. Not thread-safe.
class TarReader {
 public:
  TarReader(std::unique_ptr<ByteStream> stream, std::string path);

  // The next regular file; false at the end. What was not read of the last one is passed over.
  // Throws Error where the archive is damaged or ends early.
  bool next(TarEntry& entry);
  // Reads the data of the entry that next() gave. Requires: out.size() == entry.size_bytes.
  void read_data(std::span<std::byte> out);

 private:
  using Block = std::array<std::byte, 512>;
  bool read_block(Block& block);
  void check_sum(const Block& block) const;
  std::string read_text(std::int64_t bytes);
  void apply_pax(const std::string& records, TarEntry& next) const;
  void pass_over(std::int64_t bytes);

  std::unique_ptr<ByteStream> stream_;
  std::string path_;
  std::int64_t offset_ = 0;
  std::int64_t unread_bytes_ = 0;  // of the current entry, padding included
};

}  // namespace batchwise

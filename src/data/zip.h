// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/input_file.h"

namespace batchwise {

// A file in a zip archive, as the central directory says.
struct ZipMember {
  std::string name;
  bool deflated = false;
  std::int64_t data_offset = 0;  // of the first byte, compressed or not, in the archive
  std::int64_t stored_bytes = 0;
  std::int64_t size_bytes = 0;  // once inflated
};

// The members of an archive, zip64 included. Throws Error for a file that is no archive, is
// damaged, or holds an encrypted or otherwise compressed member.
std::vector<ZipMember> list_zip(const InputFile& file);

}  // namespace batchwise

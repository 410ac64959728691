// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "batchwise/dtype.h"
#include "data/array_source.h"
#include "data/input_file.h"

namespace batchwise {

// The header of a NumPy array file, versions 1 to 3.
struct NpyHeader {
  DType dtype = DType::kUndefined;
  std::vector<std::int64_t> shape;
  std::int64_t data_offset = 0;  // in the file
};

// Reads the array at [offset, offset + bytes) of `file`; `where` names it in messages. Throws Error
// where it is no such array, its bytes are not as many as the header says, or it is big-endian or
// in Fortran order.
NpyHeader read_npy_header(const InputFile& file, std::int64_t offset, std::int64_t bytes,
                          const std::string& where);

// The array as rows along its first axis.
ArrayColumn npy_column(std::shared_ptr<const InputFile> file, const NpyHeader& header,
                       const std::string& where);

// The bytes before the data of a version 1 file, a multiple of 64.
std::string make_npy_header(DType dtype, const std::vector<std::int64_t>& shape);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "batchwise/dtype.h"

namespace batchwise {

// The type in which a data source hands out what a file stores: uint8 and bool as they are, other
// integers as int64, floats as float32; kUndefined for types that are not numbers.
DType exposed_dtype(DType stored);

// Converts `count` elements. From: any real number type. To: float32, int64, int32, uint8, bool.
// Neither pointer needs to be aligned. Throws Error naming `where` for an integer that `to` cannot
// hold. Requires: the buffers do not overlap.
void convert_elements(DType from, const std::byte* source, DType to, std::byte* target,
                      std::int64_t count, const char* where);

}  // namespace batchwise

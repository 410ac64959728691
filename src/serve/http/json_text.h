// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "batchwise/dtype.h"

// Writes JSON. Numbers are the shortest that read back as the same value of their type; those of
// floating point have a point or an exponent. NaN and infinities, for which JSON has no word, are
// NaN, Infinity and -Infinity, as most readers take them.
namespace batchwise::serve {

// With quotes; bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string& text, std::string_view value);

// The elements between commas, without brackets. Requires: bytes is a multiple of the dtype's.
void append_json_values(std::string& text, DType dtype, std::span<const std::byte> bytes);

// Nested arrays of this shape; a shape without dimensions is one number. Requires: the bytes fit.
void append_json_array(std::string& text, DType dtype, std::span<const std::byte> bytes,
                       std::span<const std::int64_t> shape);

}  // namespace batchwise::serve

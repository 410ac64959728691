// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "batchwise/dtype.h"

namespace batchwise::serve {

// What a tensor's JSON is read into. `name` is for messages.
struct JsonTarget {
  std::string_view name;
  DType dtype = DType::kFloat32;
  std::span<const std::int64_t> shape;
  bool allow_nonfinite = false;  // the tokens NaN, Infinity and -Infinity
};

// Reads arrays of numbers, or of true and false, straight into elements of the target's dtype. At
// every depth there are either arrays, as many as the shape says, or all the numbers that are left
// below: nested, flat, or between. Integers are taken as floats, but not floats as integers.
// Requires: `out` has room for the shape. Throws RefusedRequest with the first value that is wrong.
void read_json_values(std::string_view json, const JsonTarget& target, std::byte* out);

// The elements of a shape, or -1 where that is more than `most` or a dimension is negative.
std::int64_t elements_of(std::span<const std::int64_t> shape, std::int64_t most);

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#include "tensor/shape.h"

#include <algorithm>

#include "base/check.h"

namespace batchwise {

std::int64_t Shape::elements(int begin, int end) const {
  std::int64_t product = 1;
  for (int axis = begin; axis < end; ++axis) product *= dims_[static_cast<std::size_t>(axis)];
  return product;
}

std::vector<std::int64_t> Shape::strides() const {
  std::vector<std::int64_t> strides(dims_.size(), 1);
  for (std::size_t i = dims_.size(); i-- > 1;) strides[i - 1] = strides[i] * dims_[i];
  return strides;
}

std::string Shape::to_string() const { return fmt::format("[{}]", fmt::join(dims_, ", ")); }

std::int64_t checked_bytes(const Shape& shape, std::size_t element_bytes,
                           const std::string& where) {
  std::int64_t bytes = static_cast<std::int64_t>(element_bytes);
  bool has_zero = false;
  for (std::int64_t dim : shape.dims()) {
    if (dim < 0) fail_input(where, "negative dimension in shape {}", shape.to_string());
    if (dim == 0) has_zero = true;
    if (dim != 0 && __builtin_mul_overflow(bytes, dim, &bytes)) {
      fail_input(where, "shape {} is too large to address", shape.to_string());
    }
  }
  return has_zero ? 0 : bytes;
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const std::string& where) {
  const int rank = std::max(a.rank(), b.rank());
  std::vector<std::int64_t> dims(static_cast<std::size_t>(rank), 1);
  for (int i = 1; i <= rank; ++i) {
    const std::int64_t da = i <= a.rank() ? a[-i] : 1;
    const std::int64_t db = i <= b.rank() ? b[-i] : 1;
    if (da != db && da != 1 && db != 1) {
      fail_input(where, "shapes {} and {} do not broadcast", a.to_string(), b.to_string());
    }
    dims[static_cast<std::size_t>(rank - i)] = da == 1 ? db : da;
  }
  return Shape(std::move(dims));
}

}  // namespace batchwise

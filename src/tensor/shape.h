// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace batchwise {

// The dimensions of a tensor, all known and not negative. A value; rank 0 is a scalar.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims) : dims_(dims) {}
  explicit Shape(std::vector<std::int64_t> dims) : dims_(std::move(dims)) {}

  int rank() const { return static_cast<int>(dims_.size()); }
  // Requires: -rank() <= axis < rank(); negative axes count from the end.
  std::int64_t operator[](int axis) const { return dims_[index(axis)]; }
  std::int64_t& operator[](int axis) { return dims_[index(axis)]; }
  const std::vector<std::int64_t>& dims() const { return dims_; }
  bool operator==(const Shape&) const = default;

  // The product of all dimensions; 1 for a scalar.
  std::int64_t elements() const { return elements(0, rank()); }
  // The product of dimensions [begin, end).
  std::int64_t elements(int begin, int end) const;
  // Row-major strides, in elements.
  std::vector<std::int64_t> strides() const;
  // "[2, 3]"
  std::string to_string() const;

 private:
  std::size_t index(int axis) const {
    return static_cast<std::size_t>(axis < 0 ? axis + rank() : axis);
  }
  std::vector<std::int64_t> dims_;
};

// Throws Error: a dimension is negative, or the bytes do not fit in 63 bits. `where` names the
// value.
std::int64_t checked_bytes(const Shape& shape, std::size_t element_bytes, const std::string& where);

// NumPy's broadcasting of two shapes. Throws Error naming `where` and both shapes where it fails.
Shape broadcast_shapes(const Shape& a, const Shape& b, const std::string& where);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "base/check.h"
#include "batchwise/dtype.h"
#include "tensor/shape.h"

namespace batchwise {

template <typename T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::kFloat32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::kFloat64;
}
template <>
constexpr DType dtype_of<std::int64_t>() {
  return DType::kInt64;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
  return DType::kInt32;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::kUInt8;
}
template <>
constexpr DType dtype_of<bool>() {
  return DType::kBool;
}

// Bytes that tensors share: on the heap, or a view into a mapped file. Immutable once shared.
class Storage {
 public:
  virtual ~Storage() = default;
  virtual const std::byte* data() const = 0;
  virtual std::size_t bytes() const = 0;
  // Tells the system that `[begin, begin + count)` will not be read soon: a mapped file gives its
  // pages back; heap memory ignores it.
  virtual void release_pages(const std::byte* begin, std::size_t count) const;
};

// An immutable tensor value: a constant of a graph, a weight, a result. Cheap to copy (the bytes
// are shared) and safe to read from several threads. A splat is one element standing for all; it
// takes no memory until it is materialized.
class Tensor {
 public:
  Tensor() = default;
  // Copies `values`. Requires: values.size() == shape.elements().
  template <typename T>
  static Tensor from(Shape shape, std::span<const T> values) {
    BW_CHECK(static_cast<std::int64_t>(values.size()) == shape.elements());
    return copy_of(dtype_of<T>(), std::move(shape), values.data());
  }
  template <typename T>
  static Tensor from(Shape shape, const std::vector<T>& values) {
    return from(std::move(shape), std::span<const T>(values));
  }
  template <typename T>
  static Tensor scalar(T value) {
    return copy_of(dtype_of<T>(), Shape(), &value);
  }
  static Tensor copy_of(DType dtype, Shape shape, const void* data);
  // A view of `data`, which lies in `storage`.
  static Tensor view(DType dtype, Shape shape, std::shared_ptr<const Storage> storage,
                     const std::byte* data);
  // Every element is *element (dtype_bytes(dtype) bytes).
  static Tensor splat(DType dtype, Shape shape, const void* element);
  // Zeroed memory that the caller may fill through mutable_data() before sharing it.
  static Tensor zeros(DType dtype, Shape shape);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  bool is_splat() const { return splat_; }
  // Bytes of the dense tensor, whether or not it is a splat.
  std::int64_t bytes() const {
    return shape_.elements() * static_cast<std::int64_t>(dtype_bytes(dtype_));
  }
  // Requires: !is_splat() (of a splat: the one element).
  const std::byte* data() const { return data_; }
  std::byte* mutable_data() { return const_cast<std::byte*>(data_); }
  // Requires: T is the dtype, !is_splat(), is_aligned().
  template <typename T>
  std::span<const T> values() const {
    BW_CHECK(dtype_of<T>() == dtype_ && !splat_ && is_aligned());
    return {reinterpret_cast<const T*>(data_), static_cast<std::size_t>(shape_.elements())};
  }
  // A view into a file may lie at any byte.
  bool is_aligned() const;
  // The same values, dense and aligned to their type.
  Tensor materialized() const;
  // The same elements under another shape of as many elements.
  Tensor reshaped(Shape shape) const;
  // Writes the dense bytes to `out`.
  void copy_to(void* out) const;
  void release_pages() const {
    if (storage_ && !splat_) storage_->release_pages(data_, static_cast<std::size_t>(bytes()));
  }
  // Integer elements of any integer or bool type as int64. Throws Error for others.
  std::vector<std::int64_t> to_int64s(const std::string& where) const;

 private:
  DType dtype_ = DType::kUndefined;
  bool splat_ = false;
  Shape shape_;
  std::shared_ptr<const Storage> storage_;
  const std::byte* data_ = nullptr;
};

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "backend/reference/reference.h"
#include "base/check.h"

// The one place that turns dtypes into types: f is a generic lambda that is called with a value of
// the element type, [&](auto zero) { using T = decltype(zero); ... }.
namespace batchwise::reference {

[[noreturn]] inline void fail_dtype(const NodeView& view, DType dtype) {
  fail_input(view.where(), "has no reference kernel for {}", dtype_name(dtype));
}

template <typename F>
void dispatch_float(const NodeView& view, DType dtype, F&& f) {
  switch (dtype) {
    case DType::kFloat32:
      return f(float{});
    case DType::kFloat64:
      return f(double{});
    default:
      fail_dtype(view, dtype);
  }
}

// Floats, and the integers that labels, indices and shapes have.
template <typename F>
void dispatch_number(const NodeView& view, DType dtype, F&& f) {
  switch (dtype) {
    case DType::kInt64:
      return f(std::int64_t{});
    case DType::kInt32:
      return f(std::int32_t{});
    case DType::kUInt8:
      return f(std::uint8_t{});
    default:
      return dispatch_float(view, dtype, f);
  }
}

// Numbers and bool.
template <typename F>
void dispatch_any(const NodeView& view, DType dtype, F&& f) {
  if (dtype == DType::kBool) return f(bool{});
  return dispatch_number(view, dtype, f);
}

// int64, int32 and uint8: indices and labels.
template <typename F>
void dispatch_index(const NodeView& view, DType dtype, F&& f) {
  switch (dtype) {
    case DType::kInt64:
      return f(std::int64_t{});
    case DType::kInt32:
      return f(std::int32_t{});
    case DType::kUInt8:
      return f(std::uint8_t{});
    default:
      fail_dtype(view, dtype);
  }
}

// For kernels that only move elements: an unsigned type of their size.
template <typename F>
void dispatch_bytes(const NodeView& view, DType dtype, F&& f) {
  switch (dtype_bytes(dtype)) {
    case 1:
      return f(std::uint8_t{});
    case 2:
      return f(std::uint16_t{});
    case 4:
      return f(std::uint32_t{});
    case 8:
      return f(std::uint64_t{});
    default:
      fail_dtype(view, dtype);
  }
}

}  // namespace batchwise::reference

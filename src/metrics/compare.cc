// SPDX-License-Identifier: Apache-2.0
#include "metrics/compare.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"

namespace batchwise {
namespace {

// Floats in their order as integers; both zeros are 0.
std::int64_t place_of(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::int64_t magnitude = bits & 0x7FFFFFFFu;
  return (bits >> 31) != 0 ? -magnitude : magnitude;
}

template <typename T>
std::uint64_t steps_between(T a, T b) {
  if constexpr (std::is_same_v<T, float>) {
    return ulp_distance(a, b);
  } else if constexpr (std::is_same_v<T, double>) {
    return ulp_distance(static_cast<float>(a), static_cast<float>(b));
  } else {
    const auto low = static_cast<std::uint64_t>(std::min(a, b));
    return static_cast<std::uint64_t>(std::max(a, b)) - low;
  }
}

void widen(Comparison& result, double a, double b, std::uint64_t ulp) {
  double abs_error = std::abs(a - b);
  double rel_error = abs_error / std::max(std::abs(a), std::abs(b));
  if (a == b || (std::isnan(a) && std::isnan(b))) {
    abs_error = rel_error = 0;
  } else if (!std::isfinite(abs_error)) {
    abs_error = rel_error = std::numeric_limits<double>::infinity();
  }
  result.max_abs_error = std::max(result.max_abs_error, abs_error);
  result.max_rel_error = std::max(result.max_rel_error, rel_error);
  result.max_ulp = std::max(result.max_ulp, ulp);
}

// Compares one sample of one output; returns the number of values with other bits.
template <typename T>
std::int64_t compare_row(const std::byte* a, const std::byte* b, std::int64_t elements,
                         Comparison& result) {
  if (std::memcmp(a, b, static_cast<std::size_t>(elements) * sizeof(T)) == 0) return 0;
  std::int64_t differing = 0;
  for (std::int64_t i = 0; i < elements; ++i, a += sizeof(T), b += sizeof(T)) {
    if (std::memcmp(a, b, sizeof(T)) == 0) continue;
    ++differing;
    T left, right;
    std::memcpy(&left, a, sizeof(T));
    std::memcpy(&right, b, sizeof(T));
    widen(result, static_cast<double>(left), static_cast<double>(right),
          steps_between(left, right));
  }
  return differing;
}

using CompareRow = std::int64_t (*)(const std::byte*, const std::byte*, std::int64_t, Comparison&);

CompareRow find_compare(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return compare_row<float>;
    case DType::kFloat64:
      return compare_row<double>;
    case DType::kInt64:
      return compare_row<std::int64_t>;
    case DType::kInt32:
      return compare_row<std::int32_t>;
    case DType::kUInt8:
    case DType::kBool:
      return compare_row<std::uint8_t>;
    default:
      fail_input("compare", "outputs of type {} cannot be compared", dtype_name(dtype));
  }
}

}  // namespace

std::uint64_t ulp_distance(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b) ? 0 : kNanUlp;
  return static_cast<std::uint64_t>(std::abs(place_of(a) - place_of(b)));
}

std::int64_t class_of(std::span<const float> row) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < row.size(); ++i) {
    if (std::isnan(row[best])) break;
    if (row[i] > row[best] || std::isnan(row[i])) best = i;
  }
  return static_cast<std::int64_t>(best);
}

OutputComparator::OutputComparator(std::vector<Output> outputs) : outputs_(std::move(outputs)) {
  BW_CHECK(!outputs_.empty());
  for (const Output& output : outputs_) find_compare(output.dtype);
}

void OutputComparator::add(std::span<const std::byte* const> a, std::span<const std::byte* const> b,
                           std::int64_t rows) {
  BW_CHECK(a.size() == outputs_.size() && b.size() == outputs_.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t differing = 0;
    for (std::size_t o = 0; o < outputs_.size(); ++o) {
      const Output& output = outputs_[o];
      const std::int64_t offset =
          row * output.elements * static_cast<std::int64_t>(dtype_bytes(output.dtype));
      const std::byte *left = a[o] + offset, *right = b[o] + offset;
      const std::int64_t here = find_compare(output.dtype)(left, right, output.elements, result_);
      differing += here;
      if (o == 0 && here > 0 && output.dtype == DType::kFloat32) {
        const auto count = static_cast<std::size_t>(output.elements);
        const auto* left_row = reinterpret_cast<const float*>(left);
        const auto* right_row = reinterpret_cast<const float*>(right);
        if (class_of({left_row, count}) != class_of({right_row, count})) ++result_.changed_classes;
      }
    }
    result_.differing_values += differing;
    result_.differing_samples += differing > 0 ? 1 : 0;
  }
  result_.samples += rows;
}

void OutputComparator::add(std::span<const float> a, std::span<const float> b) {
  const std::int64_t elements = outputs_[0].elements;
  BW_CHECK(a.size() == b.size() && static_cast<std::int64_t>(a.size()) % elements == 0);
  const std::byte* left = std::as_bytes(a).data();
  const std::byte* right = std::as_bytes(b).data();
  add(std::span(&left, 1), std::span(&right, 1), static_cast<std::int64_t>(a.size()) / elements);
}

}  // namespace batchwise

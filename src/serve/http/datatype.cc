// SPDX-License-Identifier: Apache-2.0
#include "serve/http/datatype.h"

#include <bit>
#include <cmath>

namespace batchwise::serve {
namespace {

struct Names {
  DType dtype;
  std::string_view v2, tf;
};

constexpr Names kNames[] = {
    {DType::kBool, "BOOL", "DT_BOOL"},        {DType::kUInt8, "UINT8", "DT_UINT8"},
    {DType::kUInt16, "UINT16", "DT_UINT16"},  {DType::kUInt32, "UINT32", "DT_UINT32"},
    {DType::kUInt64, "UINT64", "DT_UINT64"},  {DType::kInt8, "INT8", "DT_INT8"},
    {DType::kInt16, "INT16", "DT_INT16"},     {DType::kInt32, "INT32", "DT_INT32"},
    {DType::kInt64, "INT64", "DT_INT64"},     {DType::kFloat16, "FP16", "DT_HALF"},
    {DType::kFloat32, "FP32", "DT_FLOAT"},    {DType::kFloat64, "FP64", "DT_DOUBLE"},
    {DType::kBFloat16, "BF16", "DT_BFLOAT16"}};

}  // namespace

std::string_view v2_datatype(DType dtype) {
  for (const Names& names : kNames) {
    if (names.dtype == dtype) return names.v2;
  }
  return "";
}

std::optional<DType> parse_v2_datatype(std::string_view name) {
  for (const Names& names : kNames) {
    if (names.v2 == name) return names.dtype;
  }
  return std::nullopt;
}

std::string_view tf_datatype(DType dtype) {
  for (const Names& names : kNames) {
    if (names.dtype == dtype) return names.tf;
  }
  return "DT_INVALID";
}

float float_of_half(std::uint16_t bits) {
  const int exponent = (bits >> 10U) & 0x1F;
  const int fraction = bits & 0x3FF;
  float value = 0;
  if (exponent == 0x1F) {
    value = fraction == 0 ? INFINITY : NAN;
  } else if (exponent == 0) {
    value = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    value = std::ldexp(static_cast<float>(fraction + 0x400), exponent - 25);
  }
  return (bits & 0x8000U) != 0 ? -value : value;
}

float float_of_bfloat(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

std::uint16_t half_of_float(float value) {
  const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000 : 0);
  const float size = std::fabs(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7E00U);
  if (size >= 65520.0F) return static_cast<std::uint16_t>(sign | 0x7C00U);
  if (size < 0x1p-14F) {
    // Subnormal: in steps of 2^-24. nearbyint() rounds ties to even.
    return static_cast<std::uint16_t>(sign | static_cast<unsigned>(std::nearbyint(size * 0x1p24F)));
  }
  int exponent = 0;
  const float fraction = std::frexp(size, &exponent);  // in [0.5, 1)
  // 1024 to 2048; a carry goes into the exponent by itself.
  const auto steps = static_cast<unsigned>(std::nearbyint(std::ldexp(fraction, 11)));
  return static_cast<std::uint16_t>(sign | ((static_cast<unsigned>(exponent + 13) << 10U) + steps));
}

std::uint16_t bfloat_of_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16U) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U);
}

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#include "data/convert.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/check.h"

namespace batchwise {
namespace {

struct Half {
  std::uint16_t bits;
};

float widen(Half half) {
  const std::uint32_t sign = half.bits >> 15;
  const int exponent = (half.bits >> 10) & 31;
  const auto fraction = static_cast<float>(half.bits & 1023);
  float value = 0;
  if (exponent == 31) {
    value = fraction == 0 ? std::numeric_limits<float>::infinity()
                          : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    value = std::ldexp(fraction, -24);
  } else {
    value = std::ldexp(fraction + 1024, exponent - 25);
  }
  return sign != 0 ? -value : value;
}

template <typename T>
T widen(T value) {
  return value;
}

template <typename To, typename From>
To convert_one(From value, const char* where) {
  if constexpr (std::is_same_v<To, bool>) {
    return value != From{};
  } else if constexpr (std::is_floating_point_v<To>) {
    return static_cast<To>(value);
  } else if constexpr (std::is_floating_point_v<From>) {
    // 2^digits is exact in floating point, the largest integer need not be.
    const double bound = std::ldexp(1.0, std::numeric_limits<To>::digits);
    const double low = std::is_signed_v<To> ? -bound : 0.0;
    const auto wide = static_cast<double>(value);
    if (!(wide >= low && wide < bound) || wide != std::floor(wide)) {
      fail_input(where, "{} is not an integer in range", wide);
    }
    return static_cast<To>(value);
  } else {
    const auto result = static_cast<To>(value);
    if (static_cast<From>(result) != value || (result < To{}) != (value < From{})) {
      fail_input(where, "{} does not fit in {} bytes", value, sizeof(To));
    }
    return result;
  }
}

template <typename From, typename To>
void convert_all(const std::byte* source, std::byte* target, std::int64_t count,
                 const char* where) {
  for (std::int64_t i = 0; i < count; ++i) {
    From value;
    std::memcpy(&value, source + static_cast<std::size_t>(i) * sizeof(From), sizeof(From));
    const To result = convert_one<To>(widen(value), where);
    std::memcpy(target + static_cast<std::size_t>(i) * sizeof(To), &result, sizeof(To));
  }
}

template <typename From>
void convert_from(const std::byte* source, DType to, std::byte* target, std::int64_t count,
                  const char* where) {
  switch (to) {
    case DType::kFloat32:
      return convert_all<From, float>(source, target, count, where);
    case DType::kInt64:
      return convert_all<From, std::int64_t>(source, target, count, where);
    case DType::kInt32:
      return convert_all<From, std::int32_t>(source, target, count, where);
    case DType::kUInt8:
      return convert_all<From, std::uint8_t>(source, target, count, where);
    case DType::kBool:
      return convert_all<From, bool>(source, target, count, where);
    default:
      fail_input(where, "no conversion to {}", dtype_name(to));
  }
}

}  // namespace

DType exposed_dtype(DType stored) {
  switch (stored) {
    case DType::kUInt8:
    case DType::kBool:
      return stored;
    case DType::kInt8:
    case DType::kUInt16:
    case DType::kInt16:
    case DType::kInt32:
    case DType::kInt64:
    case DType::kUInt32:
    case DType::kUInt64:
      return DType::kInt64;
    case DType::kFloat16:
    case DType::kFloat32:
    case DType::kFloat64:
      return DType::kFloat32;
    default:
      return DType::kUndefined;
  }
}

void convert_elements(DType from, const std::byte* source, DType to, std::byte* target,
                      std::int64_t count, const char* where) {
  if (from == to) {
    std::memcpy(target, source, static_cast<std::size_t>(count) * dtype_bytes(to));
    return;
  }
  switch (from) {
    case DType::kUInt8:
    case DType::kBool:  // any byte but 0 is true, which reading it as bool would not promise
      return convert_from<std::uint8_t>(source, to, target, count, where);
    case DType::kInt8:
      return convert_from<std::int8_t>(source, to, target, count, where);
    case DType::kUInt16:
      return convert_from<std::uint16_t>(source, to, target, count, where);
    case DType::kInt16:
      return convert_from<std::int16_t>(source, to, target, count, where);
    case DType::kUInt32:
      return convert_from<std::uint32_t>(source, to, target, count, where);
    case DType::kInt32:
      return convert_from<std::int32_t>(source, to, target, count, where);
    case DType::kUInt64:
      return convert_from<std::uint64_t>(source, to, target, count, where);
    case DType::kInt64:
      return convert_from<std::int64_t>(source, to, target, count, where);
    case DType::kFloat16:
      return convert_from<Half>(source, to, target, count, where);
    case DType::kFloat32:
      return convert_from<float>(source, to, target, count, where);
    case DType::kFloat64:
      return convert_from<double>(source, to, target, count, where);
    default:
      fail_input(where, "no conversion from {}", dtype_name(from));
  }
}

}  // namespace batchwise

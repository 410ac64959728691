// SPDX-License-Identifier: Apache-2.0
#include "architectures/initial_weights.h"

#include <cmath>

#include "tensor/counter_random.h"

namespace batchwise {
namespace {

// FNV-1a.
std::uint64_t hash_of(std::string_view name) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

// The natural logarithm; the C library's differs in its last bit from machine to machine.
// Requires: x is positive and normal.
double portable_log(double x) {
  constexpr double kLog2 = 0.693147180559945309417;
  constexpr double kSqrtHalf = 0.707106781186547524401;
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);
  if (mantissa < kSqrtHalf) {
    mantissa *= 2;
    --exponent;
  }
  // log(m) = 2 artanh(z), z = (m - 1) / (m + 1), |z| < 0.172: twelve terms reach double's
  // precision.
  const double z = (mantissa - 1) / (mantissa + 1);
  double sum = 0;
  for (int k = 23; k >= 1; k -= 2) sum = sum * z * z + 1.0 / k;
  return exponent * kLog2 + 2 * z * sum;
}

// Uniform in (-1, 1), symmetric around 0.
double uniform(std::uint32_t high, std::uint32_t low) {
  const std::uint64_t bits = (std::uint64_t{high} << 21) ^ (low >> 11);
  return (static_cast<double>(bits) + 0.5) * 0x1p-52 - 1;
}

struct NormalPair {
  double first, second;
};

// Two independent standard normal numbers, by Marsaglia's polar method.
NormalPair normal_pair(std::uint32_t pair, std::uint64_t stream, std::uint64_t seed) {
  for (std::uint32_t attempt = 0;; ++attempt) {
    const RandomBlock block = philox4x32({pair, attempt, static_cast<std::uint32_t>(stream),
                                          static_cast<std::uint32_t>(stream >> 32)},
                                         seed);
    const double x = uniform(block[0], block[1]);
    const double y = uniform(block[2], block[3]);
    const double square = x * x + y * y;
    if (square >= 1 || square < 1e-300) continue;
    const double scale = std::sqrt(-2 * portable_log(square) / square);
    return {x * scale, y * scale};
  }
}

}  // namespace

Tensor he_normal(Shape shape, std::int64_t fan_in, std::uint64_t seed, std::string_view name) {
  const std::uint64_t stream = hash_of(name);
  const double deviation = std::sqrt(2.0 / static_cast<double>(fan_in));
  const std::int64_t count = shape.elements();
  BW_CHECK(fan_in > 0 && count <= std::int64_t{1} << 32);
  Tensor tensor = Tensor::zeros(DType::kFloat32, std::move(shape));
  auto* out = reinterpret_cast<float*>(tensor.mutable_data());
  for (std::int64_t i = 0; i < count; i += 2) {
    const NormalPair pair = normal_pair(static_cast<std::uint32_t>(i / 2), stream, seed);
    out[i] = static_cast<float>(pair.first * deviation);
    if (i + 1 < count) out[i + 1] = static_cast<float>(pair.second * deviation);
  }
  return tensor;
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/tensor_contents.h"

#include <fmt/format.h>
#include <inference_proto/inference_service.pb.h>

#include <cstring>
#include <limits>

#include "client/v2_types.h"

namespace batchwise::serve {
namespace {

using Bytes = std::span<const std::byte>;

Refusal invalid(const ContentsTarget& target, const std::string& what) {
  return {Status::kInvalid,
          fmt::format("model {}: input {} {}", target.model, target.spec.name, what), 0};
}

std::optional<Refusal> check_count(std::int64_t count, const ContentsTarget& target) {
  const auto element = static_cast<std::int64_t>(dtype_bytes(target.spec.dtype));
  // rows are within the model's limit, so that the product is that of a batch.
  const std::int64_t wanted = target.rows * (target.spec.row_bytes / element);
  if (count == wanted) return std::nullopt;
  return invalid(target, fmt::format("has {} values of {}, {} rows take {}", count,
                                     v2_type_name(target.spec.dtype), target.rows, wanted));
}

// Protobuf keeps the numbers as the model has them.
template <typename Numbers>
std::optional<Refusal> take(const Numbers& numbers, const ContentsTarget& target, Bytes& bytes) {
  if (auto refusal = check_count(numbers.size(), target)) return refusal;
  bytes = std::as_bytes(std::span(numbers.data(), static_cast<std::size_t>(numbers.size())));
  return std::nullopt;
}

template <typename Narrow, typename Numbers>
std::optional<Refusal> narrow(const Numbers& numbers, const ContentsTarget& target,
                              std::vector<std::byte>& narrowed, Bytes& bytes) {
  if (auto refusal = check_count(numbers.size(), target)) return refusal;
  narrowed.resize(static_cast<std::size_t>(numbers.size()) * sizeof(Narrow));
  std::byte* out = narrowed.data();
  for (const auto number : numbers) {
    const auto narrow_number = static_cast<Narrow>(number);
    if (narrow_number != number) {
      return invalid(target, fmt::format("has the value {}, which is no {}", number,
                                         v2_type_name(target.spec.dtype)));
    }
    std::memcpy(out, &narrow_number, sizeof(Narrow));
    out += sizeof(Narrow);
  }
  bytes = narrowed;
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> decode_contents(const inference::InferTensorContents& contents,
                                       const ContentsTarget& target,
                                       std::vector<std::byte>& narrowed, Bytes& bytes) {
  switch (target.spec.dtype) {
    case DType::kBool:
      static_assert(sizeof(bool) == 1);
      return take(contents.bool_contents(), target, bytes);
    case DType::kInt32:
      return take(contents.int_contents(), target, bytes);
    case DType::kInt64:
      return take(contents.int64_contents(), target, bytes);
    case DType::kUInt32:
      return take(contents.uint_contents(), target, bytes);
    case DType::kUInt64:
      return take(contents.uint64_contents(), target, bytes);
    case DType::kFloat32:
      return take(contents.fp32_contents(), target, bytes);
    case DType::kFloat64:
      return take(contents.fp64_contents(), target, bytes);
    case DType::kInt8:
      return narrow<std::int8_t>(contents.int_contents(), target, narrowed, bytes);
    case DType::kInt16:
      return narrow<std::int16_t>(contents.int_contents(), target, narrowed, bytes);
    case DType::kUInt8:
      return narrow<std::uint8_t>(contents.uint_contents(), target, narrowed, bytes);
    case DType::kUInt16:
      return narrow<std::uint16_t>(contents.uint_contents(), target, narrowed, bytes);
    default:
      return invalid(target, fmt::format("is {}: it comes in raw_input_contents only",
                                         v2_type_name(target.spec.dtype)));
  }
}

}  // namespace batchwise::serve

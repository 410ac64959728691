// SPDX-License-Identifier: Apache-2.0
#include "serve/http/json_values.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>

#include "serve/http/datatype.h"
#include "serve/http/refuse.h"

namespace batchwise::serve {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool ends_token(char c) {
  return c == ',' || c == ']' || c == '}' || c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

// The end of the JSON number at `at`, or null where none is: what from_chars() takes is wider.
const char* number_end(const char* at, const char* end, bool& is_integer) {
  is_integer = true;
  if (at < end && *at == '-') ++at;
  if (at == end || !is_digit(*at)) return nullptr;
  if (*at == '0' && at + 1 < end && is_digit(at[1])) return nullptr;
  while (at < end && is_digit(*at)) ++at;
  if (at < end && *at == '.') {
    is_integer = false;
    if (++at == end || !is_digit(*at)) return nullptr;
    while (at < end && is_digit(*at)) ++at;
  }
  if (at < end && (*at == 'e' || *at == 'E')) {
    is_integer = false;
    ++at;
    if (at < end && (*at == '-' || *at == '+')) ++at;
    if (at == end || !is_digit(*at)) return nullptr;
    while (at < end && is_digit(*at)) ++at;
  }
  return at;
}

// `Value` is what is read, `Stored` what an element is.
template <typename Value, typename Stored>
class ArrayReader {
 public:
  ArrayReader(std::string_view json, const JsonTarget& target, std::byte* out,
              Stored (*convert)(Value))
      : at_(json.data()),
        end_(json.data() + json.size()),
        target_(target),
        out_(out),
        convert_(convert) {}

  void read() {
    read_depth(0);
    skip_space();
    if (at_ != end_) fail("has text after its end");
  }

 private:
  void read_depth(std::size_t depth) {
    skip_space();
    if (depth == target_.shape.size()) return read_value();
    if (at_ == end_ || *at_ != '[') fail("has no array");
    ++at_;
    skip_space();
    const bool nested = at_ < end_ && *at_ == '[';
    std::int64_t wanted = target_.shape[depth];
    if (!nested) {
      for (std::size_t i = depth + 1; i < target_.shape.size(); ++i) wanted *= target_.shape[i];
    }
    const std::size_t next = nested ? depth + 1 : target_.shape.size();
    std::int64_t count = 0;
    for (; !at_closing_bracket(); ++count) {
      if (count == wanted) fail_count(depth, wanted, nested, "more than");
      if (count > 0) expect_comma();
      read_depth(next);
      skip_space();
    }
    if (count < wanted) fail_count(depth, wanted, nested, "less than");
    ++at_;
  }

  bool at_closing_bracket() {
    if (at_ == end_) fail("has no end");
    return *at_ == ']';
  }

  void expect_comma() {
    if (*at_ != ',') fail_token("is no number of the array");
    ++at_;
    skip_space();
  }

  void skip_space() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }

  void read_value() {
    Value value{};
    if constexpr (std::is_same_v<Value, bool>) {
      value = read_bool();
    } else if constexpr (std::is_floating_point_v<Value>) {
      value = read_float();
    } else {
      value = read_integer();
    }
    const Stored stored = convert_(value);
    std::memcpy(out_, &stored, sizeof(Stored));
    out_ += sizeof(Stored);
    ++index_;
  }

  bool take(std::string_view word) {
    const auto left = static_cast<std::size_t>(end_ - at_);
    if (left < word.size() || std::memcmp(at_, word.data(), word.size()) != 0) return false;
    if (left > word.size() && !ends_token(at_[word.size()])) return false;
    at_ += word.size();
    return true;
  }

  bool read_bool() {
    if (take("true") || take("1")) return true;
    if (!take("false") && !take("0")) fail_token("is neither true nor false");
    return false;
  }

  Value read_integer() {
    bool is_integer = false;
    const char* end = number_end(at_, end_, is_integer);
    Value value{};
    if (end == nullptr || !is_integer) fail_token("is no integer");
    if (std::from_chars(at_, end, value).ec != std::errc()) fail_token("is out of range");
    at_ = end;
    return value;
  }

  Value read_float() {
    if (at_ < end_ && !is_digit(*at_) && target_.allow_nonfinite) {
      constexpr Value kInfinity = std::numeric_limits<Value>::infinity();
      if (take("NaN")) return std::numeric_limits<Value>::quiet_NaN();
      if (take("Infinity")) return kInfinity;
      if (take("-Infinity")) return -kInfinity;
    }
    bool is_integer = false;
    const char* end = number_end(at_, end_, is_integer);
    if (end == nullptr) fail_token("is no number");
    Value value{};
    if (std::from_chars(at_, end, value).ec == std::errc::result_out_of_range) {
      value = read_extreme(end);
    }
    if (std::isinf(value) || std::isinf(static_cast<double>(back_of(value)))) {
      fail_token("is out of range");
    }
    at_ = end;
    return value;
  }

  // from_chars() does not tell what is too small, and is zero then, from what is too large.
  Value read_extreme(const char* end) const {
    const std::string text(at_, end);
    if constexpr (std::is_same_v<Value, float>) return std::strtof(text.c_str(), nullptr);
    return static_cast<Value>(std::strtod(text.c_str(), nullptr));
  }

  // The value as it will be read from its element.
  Value back_of(Value value) const {
    if (target_.dtype == DType::kFloat16)
      return static_cast<Value>(float_of_half(half_of_float(static_cast<float>(value))));
    if (target_.dtype == DType::kBFloat16)
      return static_cast<Value>(float_of_bfloat(bfloat_of_float(static_cast<float>(value))));
    return value;
  }

  [[noreturn]] void fail(std::string_view what) const {
    refuse_invalid("input {}: its data {}, after {} values", target_.name, what, index_);
  }

  [[noreturn]] void fail_count(std::size_t depth, std::int64_t wanted, bool nested,
                               std::string_view comparison) const {
    refuse_invalid("input {}: an array at depth {} has {} the {} {} of the shape", target_.name,
                   depth, comparison, wanted, nested ? "parts" : "values");
  }

  [[noreturn]] void fail_token(std::string_view what) const {
    constexpr std::size_t kMostBytes = 40;
    std::size_t length = 0;
    const auto left = static_cast<std::size_t>(end_ - at_);
    while (length < std::min(left, kMostBytes) && !ends_token(at_[length])) ++length;
    if (left > 0 && *at_ == '{') {
      refuse_invalid("input {}: value {} is an object; b64 and strings are not taken, {} is",
                     target_.name, index_, v2_datatype(target_.dtype));
    }
    refuse_invalid("input {}: value {} '{}' {}, of {}", target_.name, index_,
                   std::string_view(at_, length), what, v2_datatype(target_.dtype));
  }

  const char* at_;
  const char* const end_;
  const JsonTarget& target_;
  std::byte* out_;
  Stored (*const convert_)(Value);
  std::int64_t index_ = 0;
};

template <typename T>
void read_plain(std::string_view json, const JsonTarget& target, std::byte* out) {
  ArrayReader<T, T>(json, target, out, [](T value) { return value; }).read();
}

}  // namespace

void read_json_values(std::string_view json, const JsonTarget& target, std::byte* out) {
  switch (target.dtype) {
    case DType::kBool:
      return ArrayReader<bool, std::uint8_t>(
                 json, target, out,
                 [](bool value) { return static_cast<std::uint8_t>(value ? 1 : 0); })
          .read();
    case DType::kUInt8:
      return read_plain<std::uint8_t>(json, target, out);
    case DType::kInt8:
      return read_plain<std::int8_t>(json, target, out);
    case DType::kUInt16:
      return read_plain<std::uint16_t>(json, target, out);
    case DType::kInt16:
      return read_plain<std::int16_t>(json, target, out);
    case DType::kUInt32:
      return read_plain<std::uint32_t>(json, target, out);
    case DType::kInt32:
      return read_plain<std::int32_t>(json, target, out);
    case DType::kUInt64:
      return read_plain<std::uint64_t>(json, target, out);
    case DType::kInt64:
      return read_plain<std::int64_t>(json, target, out);
    case DType::kFloat32:
      return read_plain<float>(json, target, out);
    case DType::kFloat64:
      return read_plain<double>(json, target, out);
    case DType::kFloat16:
      return ArrayReader<float, std::uint16_t>(json, target, out, half_of_float).read();
    case DType::kBFloat16:
      return ArrayReader<float, std::uint16_t>(json, target, out, bfloat_of_float).read();
    default:
      refuse_invalid("input {}: {} is not taken as JSON", target.name, dtype_name(target.dtype));
  }
}

std::int64_t elements_of(std::span<const std::int64_t> shape, std::int64_t most) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(count, size, &count) || count > most) return -1;
  }
  return count;
}

}  // namespace batchwise::serve

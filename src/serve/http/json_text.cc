// SPDX-License-Identifier: Apache-2.0
#include "serve/http/json_text.h"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <type_traits>

#include "serve/http/datatype.h"

namespace batchwise::serve {
namespace {

// Longer than any number: "-1.7976931348623157e+308".
constexpr std::size_t kNumberBytes = 32;
constexpr std::size_t kChunk = 128;

char* write_float_text(char* begin, char* end) {
  // fmt writes 1.0 as "1": readers tell a float by its point.
  if (std::any_of(begin, end, [](char c) { return c == '.' || c == 'e'; })) return end;
  *end++ = '.';
  *end++ = '0';
  return end;
}

template <typename T>
char* write_number(char* at, T value) {
  if constexpr (std::is_same_v<T, bool>) {
    return fmt::format_to(at, FMT_COMPILE("{}"), value ? "true" : "false");
  } else if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(value)) return fmt::format_to(at, FMT_COMPILE("NaN"));
    if (std::isinf(value)) {
      return fmt::format_to(at, FMT_COMPILE("{}"), value < 0 ? "-Infinity" : "Infinity");
    }
    return write_float_text(at, fmt::format_to(at, FMT_COMPILE("{}"), value));
  } else if constexpr (sizeof(T) == 1) {
    return fmt::format_to(at, FMT_COMPILE("{}"), static_cast<int>(value));
  } else {
    return fmt::format_to(at, FMT_COMPILE("{}"), value);
  }
}

template <typename Stored, typename Written>
void append_as(std::string& text, std::span<const std::byte> bytes, Written (*convert)(Stored)) {
  const std::size_t count = bytes.size() / sizeof(Stored);
  char buffer[kChunk * kNumberBytes];
  for (std::size_t first = 0; first < count; first += kChunk) {
    char* at = buffer;
    for (std::size_t i = first; i < std::min(count, first + kChunk); ++i) {
      Stored stored;
      std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof(Stored));
      if (i > 0) *at++ = ',';
      at = write_number(at, convert(stored));
    }
    text.append(buffer, static_cast<std::size_t>(at - buffer));
  }
}

template <typename T>
void append_plain(std::string& text, std::span<const std::byte> bytes) {
  append_as<T, T>(text, bytes, [](T value) { return value; });
}

}  // namespace

void append_json_values(std::string& text, DType dtype, std::span<const std::byte> bytes) {
  switch (dtype) {
    case DType::kBool:
      return append_as<std::uint8_t, bool>(text, bytes, [](std::uint8_t v) { return v != 0; });
    case DType::kUInt8:
      return append_plain<std::uint8_t>(text, bytes);
    case DType::kInt8:
      return append_plain<std::int8_t>(text, bytes);
    case DType::kUInt16:
      return append_plain<std::uint16_t>(text, bytes);
    case DType::kInt16:
      return append_plain<std::int16_t>(text, bytes);
    case DType::kUInt32:
      return append_plain<std::uint32_t>(text, bytes);
    case DType::kInt32:
      return append_plain<std::int32_t>(text, bytes);
    case DType::kUInt64:
      return append_plain<std::uint64_t>(text, bytes);
    case DType::kInt64:
      return append_plain<std::int64_t>(text, bytes);
    case DType::kFloat32:
      return append_plain<float>(text, bytes);
    case DType::kFloat64:
      return append_plain<double>(text, bytes);
    case DType::kFloat16:
      return append_as<std::uint16_t, float>(text, bytes, float_of_half);
    case DType::kBFloat16:
      return append_as<std::uint16_t, float>(text, bytes, float_of_bfloat);
    default:
      return;
  }
}

void append_json_array(std::string& text, DType dtype, std::span<const std::byte> bytes,
                       std::span<const std::int64_t> shape) {
  if (shape.empty()) return append_json_values(text, dtype, bytes);
  text += '[';
  if (shape.size() == 1) {
    append_json_values(text, dtype, bytes);
  } else {
    const std::size_t part = shape[0] > 0 ? bytes.size() / static_cast<std::size_t>(shape[0]) : 0;
    for (std::int64_t i = 0; i < shape[0]; ++i) {
      if (i > 0) text += ',';
      append_json_array(text, dtype, bytes.subspan(static_cast<std::size_t>(i) * part, part),
                        shape.subspan(1));
    }
  }
  text += ']';
}

namespace {

// The bytes of the UTF-8 character that begins here; 0 where none does.
std::size_t character_bytes(std::string_view rest) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(rest[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || rest.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return 0;
  }
  // Longer than needed, a surrogate, or above U+10FFFF.
  if (lead == 0xE0 && byte(1) < 0xA0) return 0;
  if (lead == 0xED && byte(1) > 0x9F) return 0;
  if (lead == 0xF0 && byte(1) < 0x90) return 0;
  if (lead == 0xF4 && byte(1) > 0x8F) return 0;
  return length;
}

void append_escaped(std::string& text, char c) {
  switch (c) {
    case '"':
      text += "\\\"";
      break;
    case '\\':
      text += "\\\\";
      break;
    case '\n':
      text += "\\n";
      break;
    default:
      fmt::format_to(std::back_inserter(text), "\\u{:04x}", static_cast<unsigned>(c));
  }
}

}  // namespace

void append_json_string(std::string& text, std::string_view value) {
  text += '"';
  for (std::size_t i = 0; i < value.size();) {
    const char c = value[i];
    const std::size_t length = character_bytes(value.substr(i));
    if (length == 0) {
      text += "\xEF\xBF\xBD";
    } else if (length == 1 && (c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20)) {
      append_escaped(text, c);
    } else {
      text.append(value, i, length);
    }
    i += std::max<std::size_t>(length, 1);
  }
  text += '"';
}

}  // namespace batchwise::serve

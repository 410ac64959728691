// SPDX-License-Identifier: Apache-2.0
#include "data/npy.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "data/formats.h"

namespace batchwise {
namespace {

constexpr std::int64_t kMaxHeaderBytes = 1 << 20;
constexpr std::string_view kMagic = "\x93NUMPY";

struct TypeRow {
  std::string_view code;
  DType dtype;
};
// Without the byte order.
constexpr std::array<TypeRow, 12> kTypes{{{"b1", DType::kBool},
                                          {"u1", DType::kUInt8},
                                          {"i1", DType::kInt8},
                                          {"u2", DType::kUInt16},
                                          {"i2", DType::kInt16},
                                          {"u4", DType::kUInt32},
                                          {"i4", DType::kInt32},
                                          {"u8", DType::kUInt64},
                                          {"i8", DType::kInt64},
                                          {"f2", DType::kFloat16},
                                          {"f4", DType::kFloat32},
                                          {"f8", DType::kFloat64}}};

// Reads the Python dictionary that a header is.
class HeaderText {
 public:
  HeaderText(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  void parse(NpyHeader& header) {
    expect('{');
    while (!take('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr") {
        header.dtype = type();
      } else if (key == "fortran_order") {
        fortran_order_ = boolean();
      } else if (key == "shape") {
        header.shape = tuple();
        has_shape_ = true;
      } else {
        fail("unknown key");
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    if (header.dtype == DType::kUndefined || !has_shape_) fail("descr or shape is missing");
    const auto longer_axes = std::count_if(header.shape.begin(), header.shape.end(),
                                           [](std::int64_t dim) { return dim > 1; });
    if (fortran_order_ && longer_axes > 1) {
      fail_input(where_, "the array is in Fortran order: save it with numpy.ascontiguousarray");
    }
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    fail_input(where_, "npy header: {} at character {}", what, position_);
  }
  void skip_space() {
    while (position_ < text_.size() &&
           std::isspace(static_cast<unsigned char>(text_[position_])) != 0) {
      ++position_;
    }
  }
  bool take(char c) {
    skip_space();
    if (position_ >= text_.size() || text_[position_] != c) return false;
    ++position_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail(fmt::format("no '{}'", c));
  }
  std::string_view quoted() {
    const char quote = take('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const std::size_t end = text_.find(quote, position_);
    if (end == std::string_view::npos) fail("text without an end");
    const std::string_view result = text_.substr(position_, end - position_);
    position_ = end + 1;
    return result;
  }
  DType type() {
    const std::string_view text = quoted();
    if (text.starts_with('>') && !text.ends_with('1')) {
      fail_input(where_, "npy type '{}' is big-endian: save it as little-endian", printable(text));
    }
    for (const TypeRow& row : kTypes) {
      if (text.size() == 3 && text.substr(1) == row.code) return row.dtype;
    }
    fail_input(where_, "npy type '{}' is not a number type that is known", printable(text));
  }
  bool boolean() {
    skip_space();
    for (const std::string_view word : {"True", "False"}) {
      if (text_.substr(position_).starts_with(word)) {
        position_ += word.size();
        return word == "True";
      }
    }
    fail("neither True nor False");
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> dims;
    expect('(');
    while (!take(')')) {
      skip_space();
      std::int64_t dim = -1;
      const char* begin = text_.data() + position_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), dim);
      if (error != std::errc() || dim < 0) fail("not a dimension");
      position_ += static_cast<std::size_t>(end - begin);
      take('L');  // written by Python 2
      dims.push_back(dim);
      if (dims.size() > 32) fail("more than 32 dimensions");
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return dims;
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t position_ = 0;
  bool fortran_order_ = false;
  bool has_shape_ = false;
};

std::int64_t little_endian(std::span<const std::byte> digits) {
  std::int64_t value = 0;
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit) {
    value = value * 256 + static_cast<std::int64_t>(*digit);
  }
  return value;
}

std::string_view type_code(DType dtype) {
  for (const TypeRow& row : kTypes) {
    if (row.dtype == dtype) return row.code;
  }
  fail_input("npy", "{} cannot be written", dtype_name(dtype));
}

}  // namespace

NpyHeader read_npy_header(const InputFile& file, std::int64_t offset, std::int64_t bytes,
                          const std::string& where) {
  std::array<std::byte, 12> start{};
  const auto got = static_cast<std::int64_t>(file.read_some(offset, start));
  if (std::min(got, bytes) < 10 ||
      std::string_view(reinterpret_cast<const char*>(start.data()), kMagic.size()) != kMagic) {
    fail_input(where, "not an npy array: {} bytes without its magic", bytes);
  }
  const int version = static_cast<int>(start[6]);
  if (version < 1 || version > 3) fail_input(where, "npy version {} is not known", version);
  const std::int64_t length_bytes = version == 1 ? 2 : 4;
  const std::int64_t text_bytes =
      little_endian(std::span(start).subspan(8, static_cast<std::size_t>(length_bytes)));
  const std::int64_t header_bytes = 8 + length_bytes + text_bytes;
  if (text_bytes > kMaxHeaderBytes || header_bytes > bytes) {
    fail_input(where, "npy header of {} bytes in {}", header_bytes, bytes);
  }
  std::string text(static_cast<std::size_t>(text_bytes), ' ');
  file.read_at(offset + 8 + length_bytes, std::as_writable_bytes(std::span(text)));
  NpyHeader header;
  HeaderText(text, where).parse(header);
  header.data_offset = offset + header_bytes;
  const std::int64_t wanted = checked_bytes(Shape(header.shape), dtype_bytes(header.dtype), where);
  if (wanted != bytes - header_bytes) {
    fail_input(where, "{} bytes of data where shape {} of {} makes it {}", bytes - header_bytes,
               Shape(header.shape).to_string(), dtype_name(header.dtype), wanted);
  }
  return header;
}

ArrayColumn npy_column(std::shared_ptr<const InputFile> file, const NpyHeader& header,
                       const std::string& where) {
  const Shape shape(header.shape);
  if (shape.rank() == 0) fail_input(where, "one number where samples are expected");
  if (shape.elements() == 0) fail_input(where, "an empty array: {}", shape.to_string());
  ArrayColumn column;
  column.stored = header.dtype;
  column.elements = shape.elements(1, shape.rank());
  column.segments.push_back({std::move(file), header.data_offset, column.row_bytes(), shape[0]});
  return column;
}

std::string make_npy_header(DType dtype, const std::vector<std::int64_t>& shape) {
  const std::string_view code = type_code(dtype);
  const char order = dtype_bytes(dtype) == 1 ? '|' : '<';
  std::string text = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}{}), }}",
                                 order, code, fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  constexpr std::size_t kStart = 10;
  const std::size_t total = (kStart + text.size() + 1 + 63) / 64 * 64;
  text.append(total - kStart - text.size() - 1, ' ');
  text += '\n';
  std::string header(kMagic);
  header += '\x01';
  header += '\x00';
  header += static_cast<char>(text.size() & 255);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

}  // namespace batchwise

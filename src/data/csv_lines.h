// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/input_file.h"

namespace batchwise {

// The rows of a CSV file, one at a time: fields between commas, quoted or not ("" is a quote inside
// quotes), spaces around them dropped, empty lines passed over. A field does not span lines.
// Not thread-safe.
class CsvLines {
 public:
  CsvLines(std::unique_ptr<ByteStream> stream, std::string path);

  // False at the end. The fields are valid until the next call.
  bool next(std::vector<std::string_view>& fields);
  // "file.csv:12", the line that next() gave.
  std::string where() const;
  std::int64_t line() const { return line_; }

 private:
  bool read_line();
  void split_line(std::vector<std::string_view>& fields);

  std::unique_ptr<ByteStream> stream_;
  std::string path_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::string text_;
  std::int64_t line_ = 0;
};

// The number that a field is, if it is one and finite.
std::optional<double> parse_number(std::string_view field);
// Like a number in what it means to be, "nan" and "inf" included: it does not make a header.
bool looks_numeric(std::string_view field);

}  // namespace batchwise

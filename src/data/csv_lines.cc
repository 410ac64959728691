// SPDX-License-Identifier: Apache-2.0
#include "data/csv_lines.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace batchwise {
namespace {

constexpr std::size_t kBufferBytes = 64 * 1024;
constexpr std::size_t kMaxLineBytes = std::size_t{16} << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

CsvLines::CsvLines(std::unique_ptr<ByteStream> stream, std::string path)
    : stream_(std::move(stream)), path_(std::move(path)), buffer_(kBufferBytes) {}

std::string CsvLines::where() const { return fmt::format("{}:{}", path_, line_); }

bool CsvLines::next(std::vector<std::string_view>& fields) {
  while (read_line()) {
    if (trimmed(text_).empty()) continue;
    split_line(fields);
    return true;
  }
  return false;
}

bool CsvLines::read_line() {
  text_.clear();
  bool found = false;
  for (;;) {
    if (begin_ == end_) {
      begin_ = 0;
      end_ = stream_->read(buffer_);
      if (end_ == 0) break;
    }
    found = true;
    const char* text = reinterpret_cast<const char*>(buffer_.data());
    const char* line_end = std::find(text + begin_, text + end_, '\n');
    text_.append(text + begin_, line_end);
    if (text_.size() > kMaxLineBytes) {
      fail_input(path_, "line {} is longer than {} bytes", line_ + 1, kMaxLineBytes);
    }
    begin_ = static_cast<std::size_t>(line_end - text);
    if (begin_ < end_) {
      ++begin_;
      break;
    }
  }
  if (!found) return false;
  if (++line_ == 1 && text_.starts_with(kByteOrderMark)) text_.erase(0, kByteOrderMark.size());
  return true;
}

// Takes doubled quotes together in place: a field is never longer than its text.
void CsvLines::split_line(std::vector<std::string_view>& fields) {
  fields.clear();
  char* const text = text_.data();
  const std::size_t size = text_.size();
  std::size_t at = 0;
  for (;;) {
    while (at < size && is_space(text[at])) ++at;
    if (at < size && text[at] == '"') {
      const std::size_t begin = ++at;
      std::size_t out = begin;
      while (at < size && (text[at] != '"' || (at + 1 < size && text[at + 1] == '"'))) {
        if (text[at] == '"') ++at;
        text[out++] = text[at++];
      }
      if (at == size) fail_input(where(), "field {}: a quote has no end", fields.size() + 1);
      fields.emplace_back(text + begin, out - begin);
      ++at;
      while (at < size && is_space(text[at])) ++at;
      if (at < size && text[at] != ',') {
        fail_input(where(), "field {}: text follows the closing quote", fields.size());
      }
    } else {
      const std::size_t begin = at;
      while (at < size && text[at] != ',') ++at;
      fields.push_back(trimmed({text + begin, at - begin}));
    }
    if (at >= size) return;
    ++at;
  }
}

std::optional<double> parse_number(std::string_view field) {
  if (field.starts_with('+')) field.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc() || end != field.data() + field.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

bool looks_numeric(std::string_view field) {
  if (field.starts_with('+')) field.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  return error != std::errc::invalid_argument && end == field.data() + field.size();
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "measure/statistics.h"

// How figures and strings are written in the report and on the terminal.
namespace batchwise {

// Text as it stands in HTML, attributes included: & < > " ' become entities, control characters
// and bytes that are not UTF-8 become U+FFFD.
std::string escape_html(std::string_view text);

std::string format_count(std::int64_t value);  // 12,345
std::string format_figure(double value);       // three digits that matter: 0.0123, 1.23, 12,300
std::string format_bytes(std::int64_t bytes);  // 1.25 MiB
std::string format_us(double us);              // 12.3 µs, 4.56 ms, 7.89 s
std::string format_duration(double seconds);   // 70.5 ms, 4.21 s, 2 min 41 s
std::string format_interval(const Interval& interval);  // 12.3 (12.1–12.6)

// "2 instances of 1 thread"
std::string layout_text(std::int64_t instances, std::int64_t threads);

// A table of text, written as HTML (first column as row headers) or for the terminal, aligned.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> head) : head_(std::move(head)) {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string html(std::string_view caption) const;
  // Columns two blanks apart, right-aligned but for the first and, where asked, the last.
  std::string terminal(std::string_view indent, bool last_left = false) const;

 private:
  std::vector<std::string> head_;
  std::vector<std::vector<std::string>> rows_;
};

// How many columns of a terminal the text takes (one for each code point).
std::size_t display_width(std::string_view text);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "study/report_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace batchwise {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// The length of the UTF-8 sequence that starts at `at`, or 0 where it is not one.
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  const std::size_t length = first < 0x80                    ? 1
                             : first >= 0xC2 && first < 0xE0 ? 2
                             : first >= 0xE0 && first < 0xF0 ? 3
                             : first >= 0xF0 && first < 0xF5 ? 4
                                                             : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  }
  if (first == 0xE0 && byte(at + 1) < 0xA0) return 0;  // overlong
  if (first == 0xED && byte(at + 1) > 0x9F) return 0;  // surrogate
  if (first == 0xF0 && byte(at + 1) < 0x90) return 0;
  if (first == 0xF4 && byte(at + 1) > 0x8F) return 0;
  return length;
}

std::string with_separators(const std::string& digits) {
  const std::size_t start = !digits.empty() && digits[0] == '-' ? 1 : 0;
  const std::size_t point = std::min(digits.find('.'), digits.size());
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > start && i < point && (point - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string padding(std::size_t width, std::string_view text) {
  const std::size_t used = display_width(text);
  return std::string(width > used ? width - used : 0, ' ');
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string html;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_length(text, i);
    const char c = text[i];
    const bool control =
        length == 1 && static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t';
    if (length == 0 || control || c == 0x7F) {
      html += kReplacement;
    } else if (c == '&') {
      html += "&amp;";
    } else if (c == '<') {
      html += "&lt;";
    } else if (c == '>') {
      html += "&gt;";
    } else if (c == '"') {
      html += "&quot;";
    } else if (c == '\'') {
      html += "&#39;";
    } else {
      html += text.substr(i, length);
    }
    i += std::max<std::size_t>(1, length);
  }
  return html;
}

std::string format_count(std::int64_t value) { return with_separators(std::to_string(value)); }

std::string format_figure(double value) {
  if (std::isnan(value)) return "–";
  if (std::isinf(value)) return "∞";
  if (value == 0) return "0";
  const double size = std::abs(value);
  if (size < 1e-3 || size >= 1e12) return fmt::format("{:.3g}", value);
  const int digits = static_cast<int>(std::floor(std::log10(size))) + 1;
  if (digits >= 3) {
    const double unit = std::pow(10.0, digits - 3);
    return with_separators(fmt::format("{:.0f}", std::round(value / unit) * unit));
  }
  return fmt::format("{:.{}f}", value, 3 - digits);
}

std::string format_bytes(std::int64_t bytes) {
  const auto size = static_cast<double>(bytes);
  if (bytes < 1024) return fmt::format("{} B", bytes);
  if (bytes < (std::int64_t{1} << 20)) return format_figure(size / 1024) + " KiB";
  if (bytes < (std::int64_t{1} << 30)) return format_figure(size / (1 << 20)) + " MiB";
  return format_figure(size / (1 << 30)) + " GiB";
}

std::string format_us(double us) {
  if (us < 1e3) return format_figure(us) + " µs";
  if (us < 1e6) return format_figure(us / 1e3) + " ms";
  return format_figure(us / 1e6) + " s";
}

std::string format_duration(double seconds) {
  if (seconds < 60) return format_us(seconds * 1e6);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

std::string format_interval(const Interval& interval) {
  if (!interval.covers && interval.low == interval.high) return format_figure(interval.median);
  return fmt::format("{} ({}–{})", format_figure(interval.median), format_figure(interval.low),
                     format_figure(interval.high));
}

std::string layout_text(std::int64_t instances, std::int64_t threads) {
  return fmt::format("{} instance{} of {} thread{}", instances, instances == 1 ? "" : "s", threads,
                     threads == 1 ? "" : "s");
}

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string TextTable::html(std::string_view caption) const {
  std::string html = fmt::format("<table><caption>{}</caption><thead><tr>", escape_html(caption));
  for (const std::string& cell : head_) html += "<th scope=\"col\">" + escape_html(cell) + "</th>";
  html += "</tr></thead><tbody>\n";
  for (const auto& row : rows_) {
    html += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      html += i == 0 ? "<th scope=\"row\">" + escape_html(row[i]) + "</th>"
                     : "<td>" + escape_html(row[i]) + "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table>\n";
}

std::string TextTable::terminal(std::string_view indent, bool last_left) const {
  std::vector<std::size_t> widths;
  const auto widen = [&widths](const std::vector<std::string>& row) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(row[i]));
    }
  };
  widen(head_);
  for (const auto& row : rows_) widen(row);
  std::string text;
  const auto write = [&](const std::vector<std::string>& row) {
    std::string line(indent);
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool left = i == 0 || (last_left && i + 1 == head_.size());
      if (i > 0) line += "  ";
      line += left ? row[i] + padding(widths[i], row[i]) : padding(widths[i], row[i]) + row[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  write(head_);
  for (const auto& row : rows_) write(row);
  return text;
}

}  // namespace batchwise

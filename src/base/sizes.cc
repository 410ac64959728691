// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "batchwise/process.h"

namespace batchwise {
namespace {

struct SizeUnit {
  std::string_view name;
  double bytes;
};
constexpr std::array<SizeUnit, 12> kSizeUnits{{{"", 1},
                                               {"B", 1},
                                               {"KiB", 1024},
                                               {"MiB", 1048576},
                                               {"GiB", 1073741824},
                                               {"TiB", 1099511627776.0},
                                               {"kB", 1e3},
                                               {"KB", 1e3},
                                               {"MB", 1e6},
                                               {"GB", 1e9},
                                               {"TB", 1e12},
                                               {"bytes", 1}}};

}  // namespace

std::int64_t parse_size(const std::string& text, const std::string& where) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && std::isfinite(number) && number > 0) {
    const std::string_view unit(stop, static_cast<std::size_t>(end - stop));
    for (const SizeUnit& known : kSizeUnits) {
      const double bytes = number * known.bytes;
      if (unit == known.name && bytes >= 1 && bytes < 9e18) return static_cast<std::int64_t>(bytes);
    }
  }
  fail_input(where, "'{}' is no size; write 512MiB or 2GiB", text);
}

double parse_duration(const std::string& text, const std::string& where) {
  constexpr std::array<std::pair<std::string_view, double>, 6> kUnits{
      {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"", 1}, {"min", 60}, {"h", 3600}}};
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && std::isfinite(number) && number > 0) {
    const std::string_view unit(stop, static_cast<std::size_t>(end - stop));
    for (const auto& [name, seconds] : kUnits) {
      if (unit == name) return number * seconds;
    }
  }
  fail_input(where, "'{}' is no time; write 5ms, 2s or 5min", text);
}

std::string format_size(std::int64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (bytes < 1024) return fmt::format("{} B", bytes);
  if (bytes < 1 << 20) return fmt::format("{:.1f} KiB", value / 1024);
  if (bytes < 1 << 30) return fmt::format("{:.1f} MiB", value / 1048576);
  return fmt::format("{:.2f} GiB", value / 1073741824);
}

}  // namespace batchwise

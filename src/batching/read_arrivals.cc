// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>

#include "base/check.h"
#include "batching/arrivals.h"

namespace batchwise {
namespace {

constexpr std::array<std::string_view, 7> kColumns{"at_us", "rows",   "timeout_us", "model",
                                                   "shape", "client", "priority"};

// The parts of a line, spaces and a carriage return stripped.
std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= line.size();) {
    const std::size_t end = std::min(line.find(',', at), line.size());
    std::string_view part = line.substr(at, end - at);
    while (!part.empty() && (part.back() == ' ' || part.back() == '\r')) part.remove_suffix(1);
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    parts.push_back(part);
    at = end + 1;
  }
  return parts;
}

class ArrivalReader {
 public:
  ArrivalReader(const std::string& path, const Arrival& defaults, std::int32_t num_models)
      : path_(path), defaults_(defaults), num_models_(num_models) {}

  void read_names(std::string_view line) {
    for (const std::string_view name : split(line)) {
      const auto* const known = std::find(kColumns.begin(), kColumns.end(), name);
      if (known == kColumns.end()) {
        fail_input(path_, "column '{}' is unknown; there are {}", name, fmt::join(kColumns, ", "));
      }
      columns_.push_back(static_cast<std::size_t>(known - kColumns.begin()));
    }
    if (std::find(columns_.begin(), columns_.end(), 0U) == columns_.end()) {
      fail_input(path_, "its first line names no column at_us");
    }
  }

  Arrival read(std::string_view line, std::int64_t line_number) const {
    const std::vector<std::string_view> parts = split(line);
    if (parts.size() != columns_.size()) {
      fail_input(path_, "line {} has {} values, not {}", line_number, parts.size(),
                 columns_.size());
    }
    Arrival arrival = defaults_;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      double value = 0;
      const char* const end = parts[i].data() + parts[i].size();
      const auto [stop, error] = std::from_chars(parts[i].data(), end, value);
      if (error != std::errc() || stop != end || !fits(columns_[i], value)) {
        fail_input(path_, "line {}: '{}' is no {}", line_number, parts[i], kColumns[columns_[i]]);
      }
      set(arrival, columns_[i], value);
    }
    return arrival;
  }

 private:
  bool fits(std::size_t column, double value) const {
    constexpr double kMostUs = 1e15, kMostRows = 1 << 20, kMostNames = 1 << 16;
    if (column == 0) return value >= 0 && value <= kMostUs;
    if (column == 2) return value > 0 && value <= kMostUs;
    if (value != std::floor(value) || value < 0) return false;
    if (column == 1) return value >= 1 && value <= kMostRows;
    return value < (column == 3 ? static_cast<double>(num_models_) : kMostNames);
  }

  static void set(Arrival& arrival, std::size_t column, double value) {
    const auto whole = [value] { return static_cast<std::int32_t>(value); };
    switch (column) {
      case 0:
        arrival.at_us = value;
        return;
      case 1:
        arrival.rows = whole();
        return;
      case 2:
        arrival.timeout_us = value;
        return;
      case 3:
        arrival.model = whole();
        return;
      case 4:
        arrival.shape = whole();
        return;
      case 5:
        arrival.client = whole();
        return;
      default:
        arrival.priority = whole();
    }
  }

  const std::string& path_;
  const Arrival defaults_;
  const std::int32_t num_models_;
  std::vector<std::size_t> columns_;
};

}  // namespace

std::vector<Arrival> read_arrivals(const std::string& path, const Arrival& defaults,
                                   std::int32_t num_models) {
  std::ifstream file(path);
  if (!file) fail_input(path, "cannot open the arrivals");
  ArrivalReader reader(path, defaults, num_models);
  std::string line;
  if (!std::getline(file, line)) fail_input(path, "it is empty");
  reader.read_names(line);
  std::vector<Arrival> arrivals;
  for (std::int64_t number = 2; std::getline(file, line); ++number) {
    if (line.empty() || line == "\r" || line.front() == '#') continue;
    arrivals.push_back(reader.read(line, number));
  }
  if (arrivals.empty()) fail_input(path, "it has no arrival");
  std::stable_sort(arrivals.begin(), arrivals.end(),
                   [](const Arrival& a, const Arrival& b) { return a.at_us < b.at_us; });
  return arrivals;
}

}  // namespace batchwise

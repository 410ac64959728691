// SPDX-License-Identifier: Apache-2.0
#include "profile/profile.h"

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace batchwise {
namespace {

using nlohmann::json;

double number_or(const json& row, const char* name, double otherwise) {
  const auto found = row.find(name);
  return found == row.end() || found->is_null() ? otherwise : found->get<double>();
}

CostPoint parse_row(const json& row) {
  CostPoint point;
  point.rows = row.at("batch_size").get<std::int64_t>();
  point.us.median = row.at("median_us").get<double>();
  point.us.low = number_or(row, "low_us", point.us.median);
  point.us.high = number_or(row, "high_us", point.us.median);
  const double bytes = number_or(row, "bytes", number_or(row, "peak_bytes", 0));
  constexpr double kMostBytes = 1e18;
  if (!(bytes >= 0 && bytes <= kMostBytes)) {
    fail_input("profile", "batch size {} has {} bytes", point.rows, bytes);
  }
  point.bytes = static_cast<std::int64_t>(bytes);
  return point;
}

std::vector<CostPoint> parse_rows(const json& document) {
  const json& rows = document.is_array() ? document : document.at("measurements");
  std::vector<CostPoint> points;
  for (const json& row : rows) {
    if (const auto automatic = row.find("automatic");
        automatic != row.end() && automatic->get<bool>())
      continue;
    points.push_back(parse_row(row));
  }
  return points;
}

}  // namespace

CostCurve parse_profile(std::string_view text, const std::string& where) {
  try {
    return CostCurve(parse_rows(json::parse(text)));
  } catch (const json::exception& error) {
    fail_input(where, "no profile: {}", error.what());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidInput) throw;
    fail_input(where, "{}", error.what());
  }
}

CostCurve read_profile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail_input(path, "cannot open the profile");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) fail_input(path, "cannot read the profile");
  return parse_profile(text, path);
}

}  // namespace batchwise

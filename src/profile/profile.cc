// SPDX-License-Identifier: Apache-2.0
#include "profile/profile.h"

#include <algorithm>
#include <cmath>
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

CostCurve parse_rows(const json& document) {
  const json& rows = document.is_array() ? document : document.at("measurements");
  std::vector<CostPoint> points;
  for (const json& row : rows) {
    if (const auto automatic = row.find("automatic");
        automatic != row.end() && automatic->get<bool>())
      continue;
    points.push_back(parse_row(row));
  }
  return CostCurve(std::move(points));
}

std::int64_t count_in(const json& object, const char* name, std::int64_t most) {
  const double count = object.at(name).get<double>();
  if (!(count >= 1 && count <= static_cast<double>(most)) || count != std::floor(count)) {
    fail_input("profile", "{} is {}, not from 1 to {}", name, count, most);
  }
  return static_cast<std::int64_t>(count);
}

std::optional<ServingProfile> parse_serving(const json& document) {
  const auto found = document.find("serve");
  // A study whose limit nothing could keep has a chapter and no answer.
  if (found == document.end() || found->is_null() || !found->contains("measurements")) {
    return std::nullopt;
  }
  constexpr std::int64_t kMostThreads = 256;
  ServingProfile serving{1, 1, 1, found->at("p99_us").get<double>(), parse_rows(*found)};
  serving.instances = static_cast<int>(count_in(*found, "instances", kMostThreads));
  serving.threads = static_cast<int>(count_in(*found, "threads", kMostThreads));
  serving.max_batch = count_in(*found, "max_batch", serving.curve.max_rows());
  if (!(serving.p99_us > 0)) fail_input("profile", "p99_us is {}", serving.p99_us);
  return serving;
}

std::string text_in(const json& object, const char* part, const char* name) {
  const auto found = object.find(part);
  if (found == object.end() || !found->is_object()) return {};
  const auto value = found->find(name);
  return value == found->end() ? std::string() : value->get<std::string>();
}

ModelProfile parse_model(const json& entry, const std::string& machine_key) {
  ModelProfile profile;
  profile.machine_key = machine_key;
  if (!entry.is_array()) {
    profile.model = text_in(entry, "model", "name");
    profile.model_sha256 = text_in(entry, "model", "sha256");
    profile.serving = parse_serving(entry);
  }
  // A study of other chapters alone has no rows.
  const bool no_rows = !machine_key.empty() && entry.at("measurements").empty();
  if (!no_rows) profile.curve = parse_rows(entry);
  return profile;
}

std::vector<ModelProfile> parse_models(const json& document) {
  std::vector<ModelProfile> profiles;
  const bool study = document.is_object() && document.contains("models");
  if (!study) return {parse_model(document, "")};
  const std::string machine_key = text_in(document, "machine", "key");
  for (const json& entry : document.at("models")) {
    profiles.push_back(parse_model(entry, machine_key));
  }
  return profiles;
}

// What is wrong with a profile is the user's input, whoever says so.
template <typename Parse>
auto parse_with(std::string_view text, const std::string& where, Parse parse) {
  try {
    return parse(json::parse(text));
  } catch (const json::exception& error) {
    fail_input(where, "no profile: {}", error.what());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidInput) throw;
    fail_input(where, "{}", error.what());
  }
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail_input(path, "cannot open the profile");
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) fail_input(path, "cannot read the profile");
  return text;
}

}  // namespace

CostCurve parse_profile(std::string_view text, const std::string& where) {
  return parse_with(text, where, parse_rows);
}
CostCurve read_profile(const std::string& path) { return parse_profile(read_text(path), path); }

std::vector<ModelProfile> parse_model_profiles(std::string_view text, const std::string& where) {
  return parse_with(text, where, parse_models);
}
std::vector<ModelProfile> read_model_profiles(const std::string& path) {
  return parse_model_profiles(read_text(path), path);
}

const ModelProfile* find_model_profile(const std::vector<ModelProfile>& profiles,
                                       std::string_view model, std::string_view model_sha256) {
  const auto first = [&](auto&& is_it) -> const ModelProfile* {
    const auto found = std::find_if(profiles.begin(), profiles.end(), is_it);
    return found == profiles.end() ? nullptr : &*found;
  };
  const ModelProfile* found = first([&](const ModelProfile& profile) {
    return !profile.model_sha256.empty() && profile.model_sha256 == model_sha256;
  });
  if (found == nullptr) {
    found = first([&](const ModelProfile& profile) {
      return !profile.model.empty() && profile.model == model;
    });
  }
  if (found == nullptr && profiles.size() == 1 && profiles[0].model.empty()) found = &profiles[0];
  return found;
}

}  // namespace batchwise

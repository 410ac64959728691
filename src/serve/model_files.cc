// SPDX-License-Identifier: Apache-2.0
#include "serve/model_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/check.h"
#include "serve/configured_model.h"

namespace batchwise::serve {
namespace {

namespace fs = std::filesystem;

// The number that a version's folder is named by, from 1, or nothing.
std::optional<std::int64_t> version_number(const std::string& name) {
  std::int64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), end, number);
  if (error != std::errc() || stop != end || number < 1 || name[0] == '0') return std::nullopt;
  return number;
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

}  // namespace

bool is_model_name(std::string_view name) {
  constexpr std::size_t kLongest = 200;
  if (name.empty() || name.size() > kLongest || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) > ' ' && c != 127 && c != '/' && c != '\\';
  });
}

std::optional<FileStamp> stamp_of(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return FileStamp{path, static_cast<std::int64_t>(status.st_ino), status.st_size,
                   status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

std::optional<ModelSource> newest_version(const std::string& name, const std::string& folder) {
  const fs::path config = fs::path(folder) / "config.pbtxt";
  const std::string config_path = is_file(config) ? config.string() : std::string();
  const VersionChoice choice(config_path);
  std::int64_t newest = 0;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const auto number = version_number(it->path().filename().string());
    if (!number || *number <= newest || !choice.allows(*number)) continue;
    if (is_file(it->path() / choice.model_file())) newest = *number;
  }
  if (newest == 0) return std::nullopt;
  const std::string version = std::to_string(newest);
  return ModelSource{name, version, (fs::path(folder) / version / choice.model_file()).string(),
                     config_path};
}

std::optional<ModelSource> find_source(const std::string& repository, const std::string& name) {
  BW_CHECK(is_model_name(name));
  if (auto source = newest_version(name, (fs::path(repository) / name).string())) return source;
  const fs::path file = fs::path(repository) / (name + ".onnx");
  if (!is_file(file)) return std::nullopt;
  return ModelSource{name, "1", file.string(), {}};
}

std::vector<std::string> model_names(const std::string& repository) {
  std::error_code error;
  if (!fs::is_directory(repository, error)) fail_input(repository, "is no folder with models");
  std::vector<std::string> names;
  for (fs::directory_iterator it(repository, error), end; !error && it != end;
       it.increment(error)) {
    const fs::path& path = it->path();
    const bool is_onnx = path.extension() == ".onnx" && is_file(path);
    const std::string name = is_onnx ? path.stem().string() : path.filename().string();
    if (is_model_name(name) && find_source(repository, name)) names.push_back(name);
  }
  if (error) fail_environment(repository, "cannot be read: {}", error.message());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#include "data/data_spec.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <system_error>

#include "base/check.h"
#include "data/formats.h"

namespace batchwise {
namespace {

const DataFormat* const kFormats[] = {&kCsvFormat,        &kNpzFormat, &kNpyFormat,
                                      &kImageTarFormat,   &kIdxFormat, &kCifarFormat,
                                      &kImageFolderFormat};

bool exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

const DataFormat* recognize(const std::string& path) {
  for (const DataFormat* format : kFormats) {
    if (format->recognizes(path)) return format;
  }
  return nullptr;
}

[[noreturn]] void refuse_split(const DataFormat& format, const std::string& path,
                               const std::string& split) {
  const std::vector<std::string> splits = format.splits(path);
  if (splits.empty()) fail_input(path, "has no split '{}', it is not divided", split);
  fail_input(path, "has no split '{}', only {}", split, fmt::join(splits, ", "));
}

// What is not there may be data with the name of a split that is none: "mnist:valid".
[[noreturn]] void refuse_missing(const std::string& path) {
  const std::size_t colon = path.rfind(':');
  const std::string data = path.substr(0, colon == std::string::npos ? 0 : colon);
  if (!data.empty() && exists(data)) {
    if (const DataFormat* format = recognize(data)) {
      refuse_split(*format, data, path.substr(colon + 1));
    }
  }
  fail_input(path, "there is no such file or folder");
}

const DataFormat& find_format(const std::string& path) {
  if (!exists(path)) refuse_missing(path);
  if (const DataFormat* format = recognize(path)) return *format;
  fail_input(path,
             "not data that is known: neither IDX files, .csv, .npz, .npy, images in class "
             "folders (or a .tar of them), nor CIFAR-10's binary files");
}

}  // namespace

DataSpec parse_data_spec(std::string_view text) {
  DataSpec spec;
  for (const std::string_view split : {"train", "test"}) {
    if (text.size() > split.size() + 1 && text.ends_with(split) &&
        text[text.size() - split.size() - 1] == ':') {
      spec.split = split;
      text.remove_suffix(split.size() + 1);
      break;
    }
  }
  if (text.empty()) fail_input("data", "the path is empty");
  spec.path = text;
  return spec;
}

std::vector<std::string> available_splits(const std::string& path) {
  return find_format(path).splits(path);
}

DataSpec with_default_split(DataSpec spec, std::string_view preferred) {
  if (!spec.split.empty()) return spec;
  const std::vector<std::string> splits = available_splits(spec.path);
  if (splits.empty()) return spec;
  const bool has = std::find(splits.begin(), splits.end(), preferred) != splits.end();
  spec.split = has ? std::string(preferred) : splits.front();
  return spec;
}

std::unique_ptr<DataSource> open_data(const DataSpec& spec) {
  const DataFormat& format = find_format(spec.path);
  DataSpec chosen = spec;
  const std::vector<std::string> splits = format.splits(spec.path);
  if (chosen.split.empty()) {
    if (splits.size() > 1) {
      fail_input(spec.path, "has the splits {}: name one", fmt::join(splits, ", "));
    }
    if (splits.size() == 1) chosen.split = splits[0];
  } else if (std::find(splits.begin(), splits.end(), chosen.split) == splits.end()) {
    refuse_split(format, spec.path, chosen.split);
  }
  CacheBudget budget(spec.cache);
  auto source = format.open(chosen, budget);
  if (source->num_samples() == 0) fail_input(spec.path, "has no samples");
  source->limit(spec.limit);
  if (source->num_samples() == 0) fail_input(spec.path, "a limit of 0 leaves no samples");
  return source;
}

std::unique_ptr<DataSource> open_outputs(const std::string& path) {
  DataSpec spec;
  spec.path = path;
  spec.label = "none";
  spec.accept_non_finite = true;
  return open_data(spec);
}

bool ends_with_ignoring_case(std::string_view text, std::string_view ending) {
  if (text.size() < ending.size()) return false;
  text.remove_prefix(text.size() - ending.size());
  return std::equal(text.begin(), text.end(), ending.begin(), [](unsigned char a, char b) {
    return static_cast<char>(std::tolower(a)) == b;
  });
}

std::vector<std::string> no_splits(const std::string&) { return {}; }

std::vector<std::string> sorted_entries(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::string name = entry->path().filename().string();
    if (!name.empty() && name[0] != '.') names.push_back(std::move(name));
  }
  if (error) fail_input(folder, "cannot read: {}", error.message());
  std::sort(names.begin(), names.end());
  return names;
}

std::string printable(std::string_view text) {
  constexpr std::size_t kMost = 40;
  std::string result(text.substr(0, kMost));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = '?';
  }
  if (text.size() > kMost) result += "...";
  return result;
}

}  // namespace batchwise

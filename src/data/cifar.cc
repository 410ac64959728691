// SPDX-License-Identifier: Apache-2.0
// CIFAR-10's binary files, a folder of them or one alone: records of a label byte and 3x32x32
// bytes.
#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/check.h"
#include "data/array_source.h"
#include "data/formats.h"

namespace batchwise {
namespace {

constexpr std::int64_t kImageBytes = std::int64_t{3} * 32 * 32;
constexpr std::int64_t kRecordBytes = 1 + kImageBytes;
constexpr std::size_t kClasses = 10;

std::vector<std::string> find_files(const std::string& folder, const std::string& split) {
  std::vector<std::string> files;
  for (const std::string& name : sorted_entries(folder)) {
    const std::string start = split == "train" ? "data_batch" : "test_batch";
    if (name.starts_with(start) && name.ends_with(".bin")) files.push_back(folder + "/" + name);
  }
  return files;
}

bool is_cifar_file(const std::string& path) {
  std::error_code ignored;
  return path.ends_with(".bin") && std::filesystem::is_regular_file(path, ignored);
}

std::vector<std::string> cifar_splits(const std::string& path) {
  std::vector<std::string> splits;
  if (is_cifar_file(path)) return splits;
  for (const char* split : {"train", "test"}) {
    if (!find_files(path, split).empty()) splits.emplace_back(split);
  }
  return splits;
}

bool is_cifar(const std::string& path) {
  return is_cifar_file(path) ||
         (std::filesystem::is_directory(path) && !cifar_splits(path).empty());
}

// A name a line; none where the file is missing or has another number of them.
std::vector<std::string> read_class_names(const std::string& folder) {
  const std::string path = (std::filesystem::path(folder) / "batches.meta.txt").string();
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return {};
  std::string text(4096, '\0');
  text.resize(InputFile::open(path)->read_some(0, std::as_writable_bytes(std::span(text))));
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string name = text.substr(begin, end - begin);
    if (name.ends_with('\r')) name.pop_back();
    if (!name.empty()) names.push_back(std::move(name));
    begin = end + 1;
  }
  if (names.size() != kClasses) names.clear();
  return names;
}

std::unique_ptr<DataSource> open_cifar(const DataSpec& spec, CacheBudget&) {
  std::vector<ArraySource::Feature> features(1);
  features[0].shape = Shape{3, 32, 32};
  ArrayColumn& images = features[0].column;
  images.elements = kImageBytes;
  ArraySource::Label label;
  const bool alone = is_cifar_file(spec.path);
  const std::string folder =
      alone ? std::filesystem::path(spec.path).parent_path().string() : spec.path;
  for (const std::string& path :
       alone ? std::vector{spec.path} : find_files(spec.path, spec.split)) {
    const auto file = InputFile::open(path);
    const std::int64_t count = file->size_bytes() / kRecordBytes;
    if (count == 0 || file->size_bytes() != count * kRecordBytes) {
      fail_input(path, "{} bytes: not a whole number of records of {}", file->size_bytes(),
                 kRecordBytes);
    }
    images.segments.push_back({file, 1, kRecordBytes, count});
    label.column.segments.push_back({file, 0, kRecordBytes, count});
  }
  label.class_names = read_class_names(folder);
  std::optional<ArraySource::Label> labels;
  if (spec.label != "none") labels = std::move(label);
  return std::make_unique<ArraySource>(spec.path, std::move(features), std::move(labels));
}

}  // namespace

const DataFormat kCifarFormat{"cifar", is_cifar, cifar_splits, open_cifar};

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "data/array_source.h"
#include "data/formats.h"
#include "data/npy.h"
#include "data/zip.h"

namespace batchwise {
namespace {

constexpr std::string_view kArrayEnding = ".npy";

bool is_npy(const std::string& path) { return ends_with_ignoring_case(path, ".npy"); }
bool is_npz(const std::string& path) { return ends_with_ignoring_case(path, ".npz"); }

Shape row_shape(const NpyHeader& header) {
  return Shape(std::vector<std::int64_t>(header.shape.begin() + 1, header.shape.end()));
}

std::unique_ptr<DataSource> open_npy(const DataSpec& spec, CacheBudget&) {
  const auto file = InputFile::open(spec.path);
  const NpyHeader header = read_npy_header(*file, 0, file->size_bytes(), spec.path);
  std::vector<ArraySource::Feature> features(1);
  features[0].column = npy_column(file, header, spec.path);
  features[0].shape = row_shape(header);
  return std::make_unique<ArraySource>(spec.path, std::move(features), std::nullopt);
}

struct NamedMember {
  std::string name;  // of the array, without the split's ending
  ZipMember member;
};

// Arrays called x_train and x_test are two splits of x.
std::string split_of(std::string_view name) {
  for (const std::string_view split : {"train", "test"}) {
    if (name.size() > split.size() + 1 && name.ends_with(split) &&
        name[name.size() - split.size() - 1] == '_') {
      return std::string(split);
    }
  }
  return {};
}

std::vector<NamedMember> list_arrays(const InputFile& file) {
  std::vector<NamedMember> arrays;
  for (ZipMember& member : list_zip(file)) {
    std::string name = member.name;
    if (name.ends_with(kArrayEnding)) name.resize(name.size() - kArrayEnding.size());
    arrays.push_back({std::move(name), std::move(member)});
  }
  return arrays;
}

std::vector<std::string> npz_splits(const std::string& path) {
  std::vector<std::string> splits;
  const auto arrays = list_arrays(*InputFile::open(path));
  for (const char* split : {"train", "test"}) {
    const auto has = [&](const NamedMember& array) { return split_of(array.name) == split; };
    if (std::any_of(arrays.begin(), arrays.end(), has)) splits.emplace_back(split);
  }
  return splits;
}

std::vector<NamedMember> arrays_of_split(const InputFile& file, const std::string& split) {
  std::vector<NamedMember> arrays = list_arrays(file);
  if (split.empty()) return arrays;
  std::erase_if(arrays, [&](const NamedMember& array) { return split_of(array.name) != split; });
  for (NamedMember& array : arrays) {
    array.name.resize(array.name.size() - split.size() - 1);
  }
  return arrays;
}

struct OpenArray {
  NpyHeader header;
  ArrayColumn column;
};

OpenArray open_array(const std::shared_ptr<const InputFile>& file, const NamedMember& array,
                     CacheBudget& budget) {
  const ZipMember& member = array.member;
  const std::string where = file->path() + ":" + printable(member.name);
  std::shared_ptr<const InputFile> data = file;
  std::int64_t offset = member.data_offset;
  if (member.deflated) {
    const auto stream = open_deflate_stream(file, member.data_offset, member.stored_bytes);
    data = cache_stream(*stream, member.size_bytes, budget, where);
    offset = 0;
    if (data->size_bytes() != member.size_bytes) {
      fail_input(where, "inflates to {} bytes, not to {}", data->size_bytes(), member.size_bytes);
    }
  }
  OpenArray result;
  result.header = read_npy_header(*data, offset, member.size_bytes, where);
  result.column = npy_column(data, result.header, where);
  return result;
}

std::unique_ptr<DataSource> open_npz(const DataSpec& spec, CacheBudget& budget) {
  const auto file = InputFile::open(spec.path);
  const std::vector<NamedMember> arrays = arrays_of_split(*file, spec.split);
  const std::string label_name = spec.label.empty() ? "y" : spec.label;
  std::vector<ArraySource::Feature> features;
  std::optional<ArraySource::Label> label;
  std::vector<std::string> names;
  for (const NamedMember& array : arrays) {
    names.push_back(printable(array.name));
    OpenArray open = open_array(file, array, budget);
    if (array.name != label_name) {
      features.push_back({array.name, row_shape(open.header), std::move(open.column)});
      continue;
    }
    if (label) fail_input(spec.path, "has two arrays '{}'", printable(label_name));
    // A column of single labels is a list of labels.
    Shape shape = row_shape(open.header);
    if (shape == Shape{1}) shape = Shape();
    label = ArraySource::Label{shape, std::move(open.column), {}};
  }
  if (!label && !spec.label.empty() && spec.label != "none") {
    fail_input(spec.path, "has no array '{}', only: {}", spec.label, fmt::join(names, ", "));
  }
  if (features.empty()) fail_input(spec.path, "has no array besides the labels");
  return std::make_unique<ArraySource>(spec.path, std::move(features), std::move(label));
}

}  // namespace

const DataFormat kNpyFormat{"npy", is_npy, no_splits, open_npy};
const DataFormat kNpzFormat{"npz", is_npz, npz_splits, open_npz};

}  // namespace batchwise

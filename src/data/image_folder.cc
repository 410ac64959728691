// SPDX-License-Identifier: Apache-2.0
// CLASS/NAME.jpg or .png, with or without train/ and test/ above.
#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/check.h"
#include "data/formats.h"
#include "data/image_source.h"

namespace batchwise {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMaxEncodedBytes = std::int64_t{256} << 20;

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::vector<std::string> subfolders(const std::string& folder) {
  std::vector<std::string> names = sorted_entries(folder);
  std::erase_if(names, [&](const std::string& name) { return !is_folder(folder + "/" + name); });
  return names;
}

bool holds_images(const std::string& folder) {
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (is_image_name(entry->path().filename().string())) return true;
  }
  return false;
}

bool holds_class_folders(const std::string& folder) {
  const std::vector<std::string> names = subfolders(folder);
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return holds_images(folder + "/" + name); });
}

std::vector<std::string> folder_splits(const std::string& path) {
  std::vector<std::string> splits;
  for (const char* split : {"train", "test"}) {
    const std::string folder = path + "/" + split;
    if (is_folder(folder) && holds_class_folders(folder)) splits.emplace_back(split);
  }
  return splits;
}

bool is_image_folder(const std::string& path) {
  return is_folder(path) && (!folder_splits(path).empty() || holds_class_folders(path));
}

// Of all splits together, so that an id means the same in each.
std::vector<std::string> class_names(const std::string& path, const std::string& split) {
  if (split.empty()) return subfolders(path);
  std::vector<std::string> names;
  for (const std::string& each : folder_splits(path)) {
    const std::vector<std::string> more = subfolders(path + "/" + each);
    names.insert(names.end(), more.begin(), more.end());
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

void add_image(const std::string& path, const std::string& name, ImageIndex& index) {
  const auto file = InputFile::open(path);
  if (file->size_bytes() > kMaxEncodedBytes) {
    fail_input(path, "an image file of {} bytes", file->size_bytes());
  }
  const ImageInfo image = read_image_info(
      [&](std::int64_t offset, std::span<std::byte> out) { return file->read_some(offset, out); },
      path);
  if (index.name_begin.empty()) {
    index.name_begin.push_back(0);
    index.image = image;
  }
  if (image != index.image) {
    fail_input(path, "an image of size {}, those before it have {}", image.to_string(),
               index.image.to_string());
  }
  index.largest_bytes = std::max(index.largest_bytes, file->size_bytes());
  index.names += name;
  index.name_begin.push_back(static_cast<std::int64_t>(index.names.size()));
}

// None where a class has no folder in this split.
std::vector<std::string> image_names(const std::string& folder) {
  std::vector<std::string> names;
  if (is_folder(folder)) names = sorted_entries(folder);
  std::erase_if(names, [](const std::string& name) { return !is_image_name(name); });
  return names;
}

// How many images a limit leaves of each class.
std::vector<std::int64_t> images_to_take(const ImageIndex& index, std::int64_t limit) {
  std::vector<std::int64_t> class_sizes;
  for (const std::string& class_name : index.class_names) {
    class_sizes.push_back(std::ssize(image_names(index.folder + "/" + class_name)));
  }
  return take_in_turn(std::move(class_sizes), limit);
}

// The names of one class at a time are in memory twice.
std::unique_ptr<DataSource> open_image_folder(const DataSpec& spec, CacheBudget&) {
  ImageIndex index;
  index.folder = spec.split.empty() ? spec.path : spec.path + "/" + spec.split;
  index.class_names = class_names(spec.path, spec.split);
  std::vector<std::int64_t> taken;
  if (spec.limit >= 0) taken = images_to_take(index, spec.limit);
  std::int64_t count = 0;
  for (std::size_t c = 0; c < index.class_names.size(); ++c) {
    index.class_begin.push_back(count);
    const std::string folder = index.folder + "/" + index.class_names[c];
    std::vector<std::string> names = image_names(folder);
    if (spec.limit >= 0) names.resize(std::min(names.size(), static_cast<std::size_t>(taken[c])));
    for (const std::string& name : names) add_image(folder + "/" + name, name, index);
    count += std::ssize(names);
  }
  index.class_begin.push_back(count);
  index.names.shrink_to_fit();
  index.name_begin.shrink_to_fit();
  return std::make_unique<ImageSource>(spec.path, std::move(index), spec.label != "none");
}

}  // namespace

const DataFormat kImageFolderFormat{"image folder", is_image_folder, folder_splits,
                                    open_image_folder};

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
// A .tar or .tar.gz of class folders. One pass finds the images; those of a plain .tar are read
// from where they lie, those of a compressed one from a cache file.
#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "data/formats.h"
#include "data/image_source.h"
#include "data/tar.h"

namespace batchwise {
namespace {

constexpr std::int64_t kMaxEncodedBytes = std::int64_t{256} << 20;

bool is_tar(const std::string& path) {
  return ends_with_ignoring_case(path, ".tar") || ends_with_ignoring_case(path, ".tar.gz") ||
         ends_with_ignoring_case(path, ".tgz");
}

// SPLIT/CLASS/NAME, from the back; the split may be missing, folders above it do not count.
struct ImagePath {
  std::string split, class_name, name;
};

std::optional<ImagePath> parse_image_path(std::string_view path) {
  if (!is_image_name(std::string(path))) return std::nullopt;
  if (path.find('\0') != std::string_view::npos) return std::nullopt;
  std::array<std::string, 3> parts;  // name, class, split
  for (std::string& part : parts) {
    const std::size_t slash = path.find_last_of('/');
    part = path.substr(slash == std::string_view::npos ? 0 : slash + 1);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
  }
  if (parts[0].starts_with('.')) return std::nullopt;
  if (parts[2] != "train" && parts[2] != "test") parts[2].clear();
  return ImagePath{parts[2], parts[1], parts[0]};
}

std::vector<std::string> tar_splits(const std::string& path) {
  TarReader reader(open_stream(InputFile::open(path)), path);
  TarEntry entry;
  std::set<std::string> found;
  while (found.size() < 2 && reader.next(entry)) {
    const auto image = parse_image_path(entry.name);
    if (image && !image->split.empty()) found.insert(image->split);
  }
  return {found.rbegin(), found.rend()};  // train before test
}

// Collects the images of one split; used once.
class TarIndexer {
 public:
  TarIndexer(const DataSpec& spec, CacheBudget& budget)
      : spec_(spec), file_(InputFile::open(spec.path)) {
    if (is_gzip(*file_)) cache_.emplace(budget, spec.path);
  }

  ImageIndex index() {
    TarReader reader(open_stream(file_), spec_.path);
    TarEntry entry;
    while (reader.next(entry)) {
      const auto image = parse_image_path(entry.name);
      if (!image) continue;
      if (image->class_name.empty()) {
        fail_input(spec_.path, "image '{}' is in no class folder", printable(entry.name));
      }
      classes_.insert(image->class_name);
      if (image->split == spec_.split) add(reader, entry, *image);
    }
    index_.class_names.assign(classes_.begin(), classes_.end());
    index_.container = cache_ ? cache_->finish() : file_;
    sort_images();
    index_images();
    return std::move(index_);
  }

 private:
  struct Image {
    std::int64_t name_begin;  // of "class/name" in names_
    ImageIndex::Extent extent;
  };

  void add(TarReader& reader, const TarEntry& entry, const ImagePath& path) {
    const std::string where = spec_.path + ":" + printable(entry.name);
    if (entry.size_bytes > kMaxEncodedBytes) {
      fail_input(where, "an image file of {} bytes", entry.size_bytes);
    }
    read_data(reader, entry.size_bytes);
    const ImageInfo info = read_image_info(data_, where);
    if (images_.empty()) index_.image = info;
    if (info != index_.image) {
      fail_input(where, "an image of size {}, those before it have {}", info.to_string(),
                 index_.image.to_string());
    }
    index_.largest_bytes = std::max(index_.largest_bytes, entry.size_bytes);
    images_.push_back({static_cast<std::int64_t>(names_.size()),
                       {cache_ ? cache_->size_bytes() : entry.data_offset, entry.size_bytes}});
    names_ += path.class_name + "/" + path.name;
    names_ += '\0';
    if (cache_) cache_->append(data_);
  }

  // A size that the archive does not have is found out before memory for it is taken.
  void read_data(TarReader& reader, std::int64_t bytes) {
    constexpr std::int64_t kStep = 1 << 20;
    data_.clear();
    for (std::int64_t done = 0; done < bytes; done += kStep) {
      const auto count = static_cast<std::size_t>(std::min(kStep, bytes - done));
      data_.resize(data_.size() + count);
      reader.read_data(std::span(data_).last(count));
    }
  }

  std::string_view name_of(const Image& image) const { return names_.data() + image.name_begin; }
  std::string_view class_of(const Image& image) const {
    return name_of(image).substr(0, name_of(image).find('/'));
  }

  // The order of a folder: classes sorted, names sorted within each.
  void sort_images() {
    std::sort(images_.begin(), images_.end(), [&](const Image& a, const Image& b) {
      return std::tuple(class_of(a), name_of(a), a.extent.offset) <
             std::tuple(class_of(b), name_of(b), b.extent.offset);
    });
  }

  // The sorted images that the limit leaves.
  void index_images() {
    std::vector<std::int64_t> class_sizes;
    auto next = images_.begin();
    for (const std::string& class_name : index_.class_names) {
      const auto begin = next;
      while (next != images_.end() && class_of(*next) == class_name) ++next;
      class_sizes.push_back(next - begin);
    }
    const std::vector<std::int64_t> taken = take_in_turn(class_sizes, spec_.limit);
    index_.extents.reserve(images_.size());
    index_.class_begin.push_back(0);
    next = images_.begin();
    for (std::size_t c = 0; c < taken.size(); ++c) {
      for (std::int64_t i = 0; i < taken[c]; ++i) index_.extents.push_back(next[i].extent);
      next += class_sizes[c];
      index_.class_begin.push_back(std::ssize(index_.extents));
    }
    index_.extents.shrink_to_fit();
  }

  const DataSpec& spec_;
  std::shared_ptr<const InputFile> file_;
  std::optional<CacheFile> cache_;
  ImageIndex index_;
  std::set<std::string> classes_;
  std::string names_;
  std::vector<Image> images_;
  std::vector<std::byte> data_;
};

std::unique_ptr<DataSource> open_image_tar(const DataSpec& spec, CacheBudget& budget) {
  ImageIndex index = TarIndexer(spec, budget).index();
  if (index.num_samples() == 0) fail_input(spec.path, "has no images in class folders");
  return std::make_unique<ImageSource>(spec.path, std::move(index), spec.label != "none");
}

}  // namespace

const DataFormat kImageTarFormat{"tar of images", is_tar, tar_splits, open_image_tar};

}  // namespace batchwise

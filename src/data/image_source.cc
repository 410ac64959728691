// SPDX-License-Identifier: Apache-2.0
#include "data/image_source.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace batchwise {

std::vector<std::int64_t> take_in_turn(std::vector<std::int64_t> class_sizes, std::int64_t limit) {
  const auto taken_in = [&](std::int64_t rounds) {
    std::int64_t taken = 0;
    for (const std::int64_t size : class_sizes) taken += std::min(size, rounds);
    return taken;
  };
  if (limit < 0 || class_sizes.empty()) return class_sizes;
  std::int64_t rounds = 0;  // the most whole ones that the limit has room for
  std::int64_t too_many = *std::max_element(class_sizes.begin(), class_sizes.end()) + 1;
  while (rounds + 1 < too_many) {
    const std::int64_t middle = rounds + (too_many - rounds) / 2;
    (taken_in(middle) <= limit ? rounds : too_many) = middle;
  }
  std::int64_t left = limit - taken_in(rounds);
  for (std::int64_t& size : class_sizes) {
    const bool takes_one_more = size > rounds && left > 0;
    size = std::min(size, rounds) + (takes_one_more ? 1 : 0);
    left -= takes_one_more ? 1 : 0;
  }
  return class_sizes;
}

std::int64_t ImageIndex::class_of(std::int64_t sample) const {
  const auto after = std::upper_bound(class_begin.begin(), class_begin.end(), sample);
  return after - class_begin.begin() - 1;
}

std::string ImageIndex::name_of(std::int64_t sample) const {
  const std::string& class_name = class_names[static_cast<std::size_t>(class_of(sample))];
  if (name_begin.empty()) {
    return fmt::format("{}:{}/(image {})", container->path(), class_name,
                       sample - class_begin[static_cast<std::size_t>(class_of(sample))]);
  }
  const auto i = static_cast<std::size_t>(sample);
  const auto begin = static_cast<std::size_t>(name_begin[i]);
  const auto end = static_cast<std::size_t>(name_begin[i + 1]);
  return folder + "/" + class_name + "/" + names.substr(begin, end - begin);
}

ImageSource::ImageSource(std::string path, ImageIndex index, bool labels)
    : index_(std::move(index)) {
  path_ = std::move(path);
  num_samples_ = index_.num_samples();
  const ImageInfo& image = index_.image;
  features_.push_back({"", Shape{image.channels, image.height, image.width}, DType::kUInt8});
  if (!labels) return;
  label_ = LabelInfo{};
  class_names_ = index_.class_names;
}

std::size_t ImageSource::scratch_bytes() const {
  return static_cast<std::size_t>(index_.largest_bytes) + index_.image.bytes();
}

std::size_t ImageSource::resident_bytes() const {
  std::size_t bytes = sizeof(*this) + index_.names.capacity() +
                      index_.extents.capacity() * sizeof(ImageIndex::Extent) +
                      (index_.name_begin.capacity() + index_.class_begin.capacity()) * 8;
  for (const std::string& name : index_.class_names) bytes += 2 * (sizeof(name) + name.capacity());
  return bytes;
}

void ImageSource::read(std::span<const std::int64_t> indices, std::span<std::byte* const> features,
                       std::byte* labels, std::span<std::byte> scratch) const {
  BW_CHECK(scratch.size() >= scratch_bytes());
  std::byte* out = features.empty() ? nullptr : features[0];
  for (const std::int64_t sample : indices) {
    BW_CHECK(sample >= 0 && sample < num_samples_, "{}: sample {}", path_, sample);
    if (out != nullptr) {
      read_image(sample, out, scratch);
      out += index_.image.bytes();
    }
    if (labels != nullptr) {
      const std::int64_t id = index_.class_of(sample);
      std::memcpy(labels, &id, sizeof(id));
      labels += sizeof(id);
    }
  }
}

void ImageSource::read_image(std::int64_t sample, std::byte* out,
                             std::span<std::byte> scratch) const {
  std::shared_ptr<const InputFile> file = index_.container;
  ImageIndex::Extent extent{0, 0};
  if (file) {
    extent = index_.extents[static_cast<std::size_t>(sample)];
  } else {
    file = InputFile::open(index_.name_of(sample));
    extent.bytes = file->size_bytes();
    if (extent.bytes > index_.largest_bytes) {
      fail_input(file->path(), "grew to {} bytes since it was indexed", extent.bytes);
    }
  }
  const auto encoded = scratch.first(static_cast<std::size_t>(extent.bytes));
  file->read_at(extent.offset, encoded);
  decode_image(encoded, index_.image, out, scratch.subspan(encoded.size()), index_.name_of(sample));
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/data_source.h"
#include "data/image.h"
#include "data/input_file.h"

namespace batchwise {

// How many samples of each class a limit leaves: the first ones of each, taken from the classes in
// turn, as the first samples in the order of the classes would be of few classes only. A limit
// below 0 or above the samples there are leaves all.
std::vector<std::int64_t> take_in_turn(std::vector<std::int64_t> class_sizes, std::int64_t limit);

// Where the encoded images of one split lie, in the order of the samples: class after class, names
// sorted within each.
struct ImageIndex {
  std::vector<std::string> class_names;
  std::vector<std::int64_t> class_begin;  // one more than classes

  // Either all in one file ...
  struct Extent {
    std::int64_t offset;
    std::int64_t bytes;
  };
  std::shared_ptr<const InputFile> container;
  std::vector<Extent> extents;
  // ... or each in a file of its own: names without folders, one after another.
  std::string folder;  // of the class folders
  std::string names;
  std::vector<std::int64_t> name_begin;  // one more than samples

  std::int64_t largest_bytes = 0;  // of an encoded image
  ImageInfo image;

  std::int64_t num_samples() const { return class_begin.empty() ? 0 : class_begin.back(); }
  std::int64_t class_of(std::int64_t sample) const;
  std::string name_of(std::int64_t sample) const;
};

// Images decoded as they are read: one feature of bytes (channels, rows, columns), class ids.
class ImageSource : public DataSource {
 public:
  ImageSource(std::string path, ImageIndex index, bool labels);

  void read(std::span<const std::int64_t> indices, std::span<std::byte* const> features,
            std::byte* labels, std::span<std::byte> scratch) const override;
  std::size_t scratch_bytes() const override;
  std::size_t resident_bytes() const override;

 private:
  void read_image(std::int64_t sample, std::byte* out, std::span<std::byte> scratch) const;

  ImageIndex index_;
};

}  // namespace batchwise

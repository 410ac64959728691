// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace batchwise {

// The size of a decoded image; one channel for grey ones, three (red, green, blue) for all others.
struct ImageInfo {
  std::int64_t channels = 0, height = 0, width = 0;
  bool operator==(const ImageInfo&) const = default;
  std::size_t bytes() const { return static_cast<std::size_t>(channels * height * width); }
  std::string to_string() const;  // "3x32x32"
};

// Reads up to out.size() bytes of an encoded image from an offset; fewer at its end.
using ReadEncoded = std::function<std::size_t(std::int64_t offset, std::span<std::byte> out)>;

// Finds the size of a JPEG or PNG image in its headers. Throws Error naming `where` for anything
// else, and for a size of 0 or of more than 256 MiB.
ImageInfo read_image_info(const ReadEncoded& read, const std::string& where);
ImageInfo read_image_info(std::span<const std::byte> encoded, const std::string& where);

// Decodes to channels, rows, columns. An alpha channel is dropped, 16 bits a sample become 8.
// Requires: scratch.size() >= info.bytes().
// Throws Error naming `where` where the image is damaged, cut off or of another size than `info`.
void decode_image(std::span<const std::byte> encoded, const ImageInfo& info, std::byte* out,
                  std::span<std::byte> scratch, const std::string& where);

// By the ending of its name.
bool is_image_name(const std::string& name);

}  // namespace batchwise

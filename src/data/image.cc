// SPDX-License-Identifier: Apache-2.0
#include "data/image.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "data/formats.h"
#include "data/image_decoders.h"

namespace batchwise {
namespace {

constexpr std::int64_t kMaxImageBytes = std::int64_t{256} << 20;
constexpr std::array<unsigned char, 8> kPngMagic{0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a};

bool is_png(std::span<const std::byte> encoded) {
  return encoded.size() >= kPngMagic.size() &&
         std::memcmp(encoded.data(), kPngMagic.data(), kPngMagic.size()) == 0;
}

bool is_jpeg(std::span<const std::byte> encoded) {
  return encoded.size() >= 3 && encoded[0] == std::byte{0xff} && encoded[1] == std::byte{0xd8} &&
         encoded[2] == std::byte{0xff};
}

std::int64_t big_endian(std::span<const std::byte> digits) {
  std::int64_t value = 0;
  for (const std::byte digit : digits) value = value * 256 + static_cast<std::int64_t>(digit);
  return value;
}

ImageInfo read_png_info(std::span<const std::byte> start, const std::string& where) {
  if (start.size() < 26 || std::memcmp(start.data() + 12, "IHDR", 4) != 0) {
    fail_input(where, "a PNG image without a header");
  }
  const int color = static_cast<int>(start[25]);
  return {color == 0 || color == 4 ? 1 : 3, big_endian(start.subspan(20, 4)),
          big_endian(start.subspan(16, 4))};
}

bool begins_frame(int marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

// Walks from marker to marker to the frame header, however far metadata pushes it back.
ImageInfo read_jpeg_info(const ReadEncoded& read, const std::string& where) {
  std::int64_t offset = 2;
  std::array<std::byte, 10> segment{};
  constexpr int kMaxSegments = 10000;
  for (int i = 0; i < kMaxSegments; ++i) {
    const std::size_t count = read(offset, segment);
    if (count < 4 || segment[0] != std::byte{0xff}) break;
    const int marker = static_cast<int>(segment[1]);
    if (marker == 0xff) {  // padding
      ++offset;
      continue;
    }
    if (begins_frame(marker) && count == segment.size()) {
      const int components = static_cast<int>(segment[9]);
      if (components != 1 && components != 3) {
        fail_input(where, "a JPEG image of {} colours: only grey and RGB are known", components);
      }
      return {components, big_endian(std::span(segment).subspan(5, 2)),
              big_endian(std::span(segment).subspan(7, 2))};
    }
    const bool has_length = marker != 0x01 && !(marker >= 0xd0 && marker <= 0xd8);
    offset += 2 + (has_length ? big_endian(std::span(segment).subspan(2, 2)) : 0);
  }
  fail_input(where, "a JPEG image without a frame header");
}

}  // namespace

std::string ImageInfo::to_string() const {
  return fmt::format("{}x{}x{}", channels, height, width);
}

ImageInfo read_image_info(const ReadEncoded& read, const std::string& where) {
  std::array<std::byte, 26> buffer{};
  const auto start = std::span<const std::byte>(buffer).first(read(0, buffer));
  ImageInfo info;
  if (is_png(start)) {
    info = read_png_info(start, where);
  } else if (is_jpeg(start)) {
    info = read_jpeg_info(read, where);
  } else {
    fail_input(where, "neither a JPEG nor a PNG image");
  }
  // Each side has at most 32 bits, so that the product of the first two fits.
  if (info.height <= 0 || info.width <= 0 || info.height > kMaxImageBytes ||
      info.width > kMaxImageBytes || info.height * info.channels > kMaxImageBytes / info.width) {
    fail_input(where, "an image of size {}", info.to_string());
  }
  return info;
}

ImageInfo read_image_info(std::span<const std::byte> encoded, const std::string& where) {
  const auto read = [encoded](std::int64_t offset, std::span<std::byte> out) -> std::size_t {
    if (offset >= std::ssize(encoded)) return 0;
    const auto rest = encoded.subspan(static_cast<std::size_t>(offset));
    const std::size_t count = std::min(rest.size(), out.size());
    std::copy_n(rest.begin(), count, out.begin());
    return count;
  };
  return read_image_info(read, where);
}

void decode_image(std::span<const std::byte> encoded, const ImageInfo& info, std::byte* out,
                  std::span<std::byte> scratch, const std::string& where) {
  const ImageInfo found = read_image_info(encoded, where);
  if (found != info) {
    fail_input(where, "an image of size {}, others have {}", found.to_string(), info.to_string());
  }
  BW_CHECK(scratch.size() >= info.bytes());
  std::byte* pixels = info.channels == 1 ? out : scratch.data();
  const std::string error =
      is_png(encoded) ? decode_png(encoded, info, pixels) : decode_jpeg(encoded, info, pixels);
  if (!error.empty()) fail_input(where, "a damaged image: {}", printable(error));
  if (info.channels == 1) return;
  const auto area = static_cast<std::size_t>(info.height * info.width);
  for (std::size_t i = 0; i < area; ++i) {
    for (std::size_t c = 0; c < 3; ++c) out[c * area + i] = pixels[3 * i + c];
  }
}

bool is_image_name(const std::string& name) {
  return ends_with_ignoring_case(name, ".jpg") || ends_with_ignoring_case(name, ".jpeg") ||
         ends_with_ignoring_case(name, ".png");
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include <span>

#include "data/image.h"
#include "fuzz_data.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto encoded = std::as_bytes(std::span(data, size));
  batchwise::expect_no_bug([&] {
    const batchwise::ImageInfo info = batchwise::read_image_info(encoded, "image");
    if (info.bytes() > (1u << 20)) return;
    std::vector<std::byte> pixels(info.bytes()), scratch(info.bytes());
    batchwise::decode_image(encoded, info, pixels.data(), scratch, "image");
  });
  return 0;
}

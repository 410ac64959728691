// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <span>
#include <string>

#include "data/image.h"

namespace batchwise {

// Each decodes to rows of pixels of info.channels bytes and returns what is wrong, "" if nothing.
std::string decode_jpeg(std::span<const std::byte> encoded, const ImageInfo& info,
                        std::byte* pixels);
std::string decode_png(std::span<const std::byte> encoded, const ImageInfo& info,
                       std::byte* pixels);

}  // namespace batchwise

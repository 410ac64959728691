// SPDX-License-Identifier: Apache-2.0
#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include "data/image_decoders.h"

namespace batchwise {
namespace {

// One image being decoded; what the library's callbacks need.
struct PngState {
  std::span<const std::byte> rest;
  char message[128] = {};
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* state = static_cast<PngState*>(png_get_error_ptr(png));
  std::snprintf(state->message, sizeof(state->message), "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void read_bytes(png_structp png, png_bytep out, std::size_t count) {
  auto* state = static_cast<PngState*>(png_get_io_ptr(png));
  if (state->rest.size() < count) png_error(png, "the data ends early");
  std::memcpy(out, state->rest.data(), count);
  state->rest = state->rest.subspan(count);
}

// Everything becomes 8 bits of grey or RGB; no gamma is applied.
void set_transforms(png_structp png, png_infop header) {
  png_set_expand(png);
  png_set_strip_16(png);
  png_set_strip_alpha(png);
  png_read_update_info(png, header);
}

// Holds no object with a destructor: an error jumps out of it.
bool decode(png_structp png, png_infop header, PngState& state, const ImageInfo& info,
            png_bytepp rows) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_read_fn(png, &state, read_bytes);
  png_set_user_limits(png, static_cast<png_uint_32>(info.width),
                      static_cast<png_uint_32>(info.height));
  png_set_chunk_malloc_max(png, 1 << 20);
  png_read_info(png, header);
  png_set_interlace_handling(png);
  set_transforms(png, header);
  if (png_get_rowbytes(png, header) != static_cast<std::size_t>(info.width * info.channels) ||
      png_get_image_height(png, header) != static_cast<png_uint_32>(info.height)) {
    std::snprintf(state.message, sizeof(state.message), "its rows have another size");
    return false;
  }
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  return true;
}

}  // namespace

std::string decode_png(std::span<const std::byte> encoded, const ImageInfo& info,
                       std::byte* pixels) {
  PngState state{encoded};
  std::vector<png_bytep> rows(static_cast<std::size_t>(info.height));
  for (std::size_t y = 0; y < rows.size(); ++y) {
    rows[y] = reinterpret_cast<png_bytep>(pixels) +
              y * static_cast<std::size_t>(info.width * info.channels);
  }
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, on_error, on_warning);
  png_infop header = png != nullptr ? png_create_info_struct(png) : nullptr;
  const bool done = header != nullptr && decode(png, header, state, info, rows.data());
  png_destroy_read_struct(&png, &header, nullptr);
  if (done) return {};
  return state.message[0] != '\0' ? state.message : "no memory";
}

}  // namespace batchwise

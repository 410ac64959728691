// SPDX-License-Identifier: Apache-2.0
// cstdio must come before jpeglib.h, which uses FILE without including it.
#include <cstdio>
// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <csetjmp>

#include "data/image_decoders.h"

namespace batchwise {
namespace {

// The library reports an error through a pointer to its first member.
struct JpegErrors {
  jpeg_error_mgr manager;
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void escape(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  errors->manager.format_message(info, errors->message);
  std::longjmp(errors->escape, 1);
}

// The library makes up what is missing of a file that was cut off, and warns: here that is an
// error.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  const int code = info->err->msg_code;
  if (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE) escape(info);
}

// Holds no object with a destructor: an error jumps out of it.
bool decode(jpeg_decompress_struct& jpeg, JpegErrors& errors, std::span<const std::byte> encoded,
            const ImageInfo& info, std::byte* pixels) {
  if (setjmp(errors.escape) != 0) return false;
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(encoded.data()), encoded.size());
  jpeg_read_header(&jpeg, TRUE);
  jpeg.out_color_space = info.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_start_decompress(&jpeg);
  if (jpeg.output_width != info.width || jpeg.output_height != info.height ||
      jpeg.output_components != info.channels) {
    std::snprintf(errors.message, sizeof(errors.message), "two frame headers");
    return false;
  }
  while (jpeg.output_scanline < jpeg.output_height) {
    auto* row = reinterpret_cast<JSAMPROW>(pixels + std::size_t{jpeg.output_scanline} *
                                                        jpeg.output_width * info.channels);
    jpeg_read_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_decompress(&jpeg);
  return true;
}

}  // namespace

std::string decode_jpeg(std::span<const std::byte> encoded, const ImageInfo& info,
                        std::byte* pixels) {
  jpeg_decompress_struct jpeg{};
  JpegErrors errors{};
  jpeg.err = jpeg_std_error(&errors.manager);
  errors.manager.error_exit = escape;
  errors.manager.emit_message = on_message;
  const bool done = decode(jpeg, errors, encoded, info, pixels);
  jpeg_destroy_decompress(&jpeg);
  if (done) return {};
  return errors.message[0] != '\0' ? errors.message : "unknown";
}

}  // namespace batchwise

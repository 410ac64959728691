// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cpu/conv.h"
#include "base/check.h"

namespace batchwise::cpu {
namespace {

// Terms of a block of a sum, at most: as accurate as a pairwise sum of vectors, and long enough to
// cost nothing.
constexpr std::int64_t kBlock = 256;

// `term_floats`: weights of one term, next to each other in the packing.
std::vector<ConvSegment> cut_segments(const std::vector<ConvTap>& taps, std::int64_t run,
                                      std::int64_t term_floats) {
  std::vector<ConvSegment> segments;
  const std::int64_t block_taps = std::max<std::int64_t>(kBlock / run, 1);
  for (std::size_t t = 0; t < taps.size(); ++t) {
    for (std::int64_t first = 0; first < run; first += kBlock) {
      ConvSegment segment{};
      segment.tap = static_cast<std::int32_t>(t);
      segment.first = static_cast<std::int32_t>(first);
      segment.length = static_cast<std::int32_t>(std::min(kBlock, run - first));
      segment.weight_offset = (taps[t].slab * run + first) * term_floats;
      segment.ends_block = run > kBlock || t + 1 == taps.size() ||
                           static_cast<std::int64_t>(t + 1) % block_taps == 0;
      segments.push_back(segment);
    }
  }
  return segments;
}

ConvPhase forward_phase(const ConvShape& s, bool padded_rows) {
  ConvPhase phase{};
  phase.rows_h = s.out_height;
  phase.rows_w = s.out_width;
  phase.out_step_h = phase.out_step_w = 1;
  phase.in_step_h = s.stride_h;
  phase.in_step_w = s.stride_w;
  for (std::int64_t kh = 0; kh < s.kernel_h; ++kh) {
    if (padded_rows) {
      phase.taps.push_back({kh * s.dilation_h, 0, kh, 0});
      continue;
    }
    for (std::int64_t kw = 0; kw < s.kernel_w; ++kw) {
      phase.taps.push_back(
          {kh * s.dilation_h - s.pad_top, kw * s.dilation_w - s.pad_left, kh * s.kernel_w + kw, 0});
    }
  }
  return phase;
}

// The taps along one axis that reach input positions = first (mod stride), and where they read.
struct AxisTap {
  std::int64_t kernel, offset;
};
std::vector<AxisTap> axis_taps(std::int64_t first, std::int64_t kernel, std::int64_t stride,
                               std::int64_t dilation, std::int64_t pad) {
  std::vector<AxisTap> taps;
  for (std::int64_t k = 0; k < kernel; ++k) {
    const std::int64_t distance = first + pad - k * dilation;
    if (distance % stride == 0) taps.push_back({k, distance / stride});
  }
  return taps;
}

ConvPhase gradient_phase(const ConvShape& s, std::int64_t first_h, std::int64_t first_w) {
  ConvPhase phase{};
  phase.rows_h = (s.in_height - first_h + s.stride_h - 1) / s.stride_h;
  phase.rows_w = (s.in_width - first_w + s.stride_w - 1) / s.stride_w;
  phase.out_first_h = first_h;
  phase.out_first_w = first_w;
  phase.out_step_h = s.stride_h;
  phase.out_step_w = s.stride_w;
  phase.in_step_h = phase.in_step_w = 1;
  const auto columns = axis_taps(first_w, s.kernel_w, s.stride_w, s.dilation_w, s.pad_left);
  for (const auto& row : axis_taps(first_h, s.kernel_h, s.stride_h, s.dilation_h, s.pad_top)) {
    for (const auto& column : columns) {
      phase.taps.push_back({row.offset, column.offset, row.kernel * s.kernel_w + column.kernel, 0});
    }
  }
  return phase;
}

void measure_taps(ConvPhase& phase, std::int64_t width, std::int64_t channels) {
  for (std::size_t t = 0; t < phase.taps.size(); ++t) {
    ConvTap& tap = phase.taps[t];
    tap.offset = (tap.dh * width + tap.dw) * channels;
    phase.low_h = t == 0 ? tap.dh : std::min(phase.low_h, tap.dh);
    phase.low_w = t == 0 ? tap.dw : std::min(phase.low_w, tap.dw);
    phase.high_h = t == 0 ? tap.dh : std::max(phase.high_h, tap.dh);
    phase.high_w = t == 0 ? tap.dw : std::max(phase.high_w, tap.dw);
  }
}

void finish_pass(ConvPass& pass) {
  for (auto& phase : pass.phases) {
    const bool padded_rows = pass.kind == ConvPass::Kind::kPaddedRows;
    measure_taps(phase, padded_rows ? pass.strip.width : pass.in_w, pass.in_channels);
    const bool depthwise = pass.kind == ConvPass::Kind::kDepthwise;
    phase.segments = depthwise ? cut_segments(phase.taps, 1, pass.in_channels)
                               : cut_segments(phase.taps, pass.run, kConvPanel);
  }
  const auto zeros = pass.kind == ConvPass::Kind::kDepthwise ? pass.in_channels : pass.run;
  if (pass.kind != ConvPass::Kind::kPaddedRows)
    pass.zeros.assign(static_cast<std::size_t>(zeros), 0.0f);
  pass.kernels = &conv_kernels();
}

void check_shape(const ConvShape& s) {
  BW_CHECK(s.batch >= 0 && s.groups >= 1 && s.in_channels % s.groups == 0 &&
               s.out_channels % s.groups == 0,
           "batch {} channels {} to {} groups {}", s.batch, s.in_channels, s.out_channels,
           s.groups);
  BW_CHECK(s.kernel_h >= 1 && s.kernel_w >= 1 && s.stride_h >= 1 && s.stride_w >= 1 &&
               s.dilation_h >= 1 && s.dilation_w >= 1,
           "kernel {}x{} stride {}x{} dilation {}x{}", s.kernel_h, s.kernel_w, s.stride_h,
           s.stride_w, s.dilation_h, s.dilation_w);
}

}  // namespace

std::int64_t ConvPass::table_bytes() const {
  std::size_t bytes = zeros.size() * sizeof(float);
  for (const auto& phase : phases) {
    bytes += phase.taps.size() * sizeof(ConvTap) + phase.segments.size() * sizeof(ConvSegment);
  }
  return static_cast<std::int64_t>(bytes);
}

ConvPass prepare_conv_forward(const ConvShape& s) {
  check_shape(s);
  const bool padded_rows = conv_uses_padded_rows(s);
  ConvPass pass{};
  pass.kind = s.is_depthwise() ? ConvPass::Kind::kDepthwise
              : padded_rows    ? ConvPass::Kind::kPaddedRows
                               : ConvPass::Kind::kTaps;
  pass.batch = s.batch;
  pass.in_h = s.in_height;
  pass.in_w = s.in_width;
  pass.in_channels = s.in_channels;
  pass.out_h = s.out_height;
  pass.out_w = s.out_width;
  pass.out_channels = s.out_channels;
  pass.groups = s.groups;
  pass.run = padded_rows ? s.kernel_w * s.in_channels : s.group_in();
  pass.slabs = padded_rows ? s.kernel_h : s.taps();
  pass.strip = conv_strip(s);
  pass.phases.push_back(forward_phase(s, padded_rows));
  finish_pass(pass);
  return pass;
}

ConvPass prepare_conv_input_gradient(const ConvShape& s) {
  check_shape(s);
  ConvPass pass{};
  pass.kind = s.is_depthwise() ? ConvPass::Kind::kDepthwise : ConvPass::Kind::kTaps;
  pass.batch = s.batch;
  pass.in_h = s.out_height;
  pass.in_w = s.out_width;
  pass.in_channels = s.out_channels;
  pass.out_h = s.in_height;
  pass.out_w = s.in_width;
  pass.out_channels = s.in_channels;
  pass.groups = s.groups;
  pass.run = s.group_out();
  pass.slabs = s.taps();
  for (std::int64_t h = 0; h < std::min(s.stride_h, s.in_height); ++h) {
    for (std::int64_t w = 0; w < std::min(s.stride_w, s.in_width); ++w) {
      pass.phases.push_back(gradient_phase(s, h, w));
    }
  }
  finish_pass(pass);
  return pass;
}

}  // namespace batchwise::cpu

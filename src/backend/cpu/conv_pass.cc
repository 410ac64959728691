// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cpu/conv.h"
#include "backend/cpu/conv_strip.h"
#include "base/check.h"

namespace batchwise::cpu {
namespace {

// Terms of a block of a sum, at most: as accurate as a pairwise sum of vectors, and long enough to
// cost nothing.
constexpr std::int64_t kBlock = 256;

// Appends a segment, to the one before where both are one run of terms.
void append(std::vector<ConvSegment>& segments, const ConvSegment& next, std::int64_t term_floats) {
  if (!segments.empty() && !segments.back().ends_block) {
    ConvSegment& last = segments.back();
    if (next.input_offset == last.input_offset + last.length &&
        next.weight_offset == last.weight_offset + last.length * term_floats) {
      last.length += next.length;
      last.ends_block = next.ends_block;
      return;
    }
  }
  segments.push_back(next);
}

// How the terms of a layer lie: `run` terms of a tap, each with `term_floats` weights.
struct Terms {
  std::int64_t run, term_floats;

  std::int64_t block_taps() const { return std::max<std::int64_t>(kBlock / run, 1); }
  // Blocks that a tap longer than a block has.
  std::int64_t tap_blocks() const { return run > kBlock ? (run + kBlock - 1) / kBlock : 1; }
};

// Appends the segments of a tap, of those of its terms that are in its block `piece`.
void append_tap(std::vector<ConvSegment>& segments, const ConvTap& tap, const Terms& terms,
                std::int64_t piece, bool ends_block) {
  const std::int64_t first = piece * kBlock;
  ConvSegment segment{};
  segment.input_offset = tap.offset + first;
  segment.weight_offset = (tap.slab * terms.run + first) * terms.term_floats;
  segment.length = static_cast<std::int32_t>(std::min(kBlock, terms.run - first));
  segment.ends_block = ends_block;
  append(segments, segment, terms.term_floats);
}

std::vector<ConvSegment> depthwise_segments(const std::vector<ConvTap>& taps, const Terms& terms) {
  std::vector<ConvSegment> segments;
  for (std::size_t t = 0; t < taps.size(); ++t) {
    const bool ends_block =
        t + 1 == taps.size() || static_cast<std::int64_t>(t + 1) % terms.block_taps() == 0;
    append_tap(segments, taps[t], terms, 0, ends_block);
  }
  return segments;
}

// Numbers the rows of a phase by the taps that they see.
std::vector<std::vector<bool>> classify_rows(ConvPhase& phase, std::int64_t in_h) {
  std::vector<std::vector<bool>> classes;
  phase.row_classes.clear();
  for (std::int64_t i = 0; i < phase.rows_h; ++i) {
    std::vector<bool> seen;
    for (const ConvTap& tap : phase.taps) {
      const std::int64_t h = i * phase.in_step_h + tap.dh;
      seen.push_back(h >= 0 && h < in_h);
    }
    auto place = std::find(classes.begin(), classes.end(), seen);
    if (place == classes.end()) place = classes.insert(classes.end(), std::move(seen));
    phase.row_classes.push_back(static_cast<std::uint16_t>(place - classes.begin()));
  }
  phase.class_ends.assign(static_cast<std::size_t>(phase.rows_h), phase.rows_h);
  for (std::size_t i = phase.class_ends.size() - 1; i-- > 0;) {
    const bool alike = phase.row_classes[i] == phase.row_classes[i + 1];
    phase.class_ends[i] = alike ? phase.class_ends[i + 1] : static_cast<std::int64_t>(i) + 1;
  }
  return classes;
}

// The blocks of the sums of the rows that see some taps.
void append_class(ConvPhase& phase, const std::vector<bool>& seen, const Terms& terms) {
  const std::size_t begin = phase.blocks.size();
  const auto taps = static_cast<std::int64_t>(phase.taps.size());
  const std::int64_t step = terms.block_taps();
  for (std::int64_t first = 0; first < std::max<std::int64_t>(taps, 1); first += step) {
    for (std::int64_t piece = 0; piece < terms.tap_blocks(); ++piece) {
      const auto from = static_cast<std::int32_t>(phase.segments.size());
      std::vector<ConvSegment> segments;
      for (std::int64_t t = first; t < std::min(first + step, taps); ++t) {
        const auto tap = static_cast<std::size_t>(t);
        if (seen[tap]) append_tap(segments, phase.taps[tap], terms, piece, false);
      }
      phase.segments.insert(phase.segments.end(), segments.begin(), segments.end());
      phase.blocks.push_back({from, static_cast<std::int32_t>(phase.segments.size())});
    }
  }
  std::size_t first = begin, last = phase.blocks.size() - 1;
  const auto is_empty = [&](std::size_t i) { return phase.blocks[i].begin == phase.blocks[i].end; };
  while (first < last && is_empty(first)) ++first;
  while (last > first && is_empty(last)) --last;
  phase.blocks[first].is_first = true;
  phase.blocks[last].is_last = true;
}

void cut_blocks(ConvPhase& phase, const Terms& terms, std::int64_t in_h) {
  for (const auto& seen : classify_rows(phase, in_h)) append_class(phase, seen, terms);
  const auto taps = static_cast<std::int64_t>(phase.taps.size());
  phase.block_weights.clear();
  for (std::int64_t first = 0; first < std::max<std::int64_t>(taps, 1);
       first += terms.block_taps()) {
    for (std::int64_t piece = 0; piece < terms.tap_blocks(); ++piece) {
      const std::int64_t slab = taps > 0 ? phase.taps[static_cast<std::size_t>(first)].slab : 0;
      phase.block_weights.push_back((slab * terms.run + piece * kBlock) * terms.term_floats);
    }
  }
  const std::int64_t length = std::min(kBlock, terms.run * terms.block_taps());
  phase.block_weights.push_back(phase.block_weights.back() + length * terms.term_floats);
}

// `whole_rows`: a tap is a row of the kernel.
ConvPhase forward_phase(const ConvShape& s, bool whole_rows) {
  ConvPhase phase{};
  phase.rows_h = s.out_height;
  phase.rows_w = s.out_width;
  phase.out_step_h = phase.out_step_w = 1;
  phase.in_step_h = s.stride_h;
  phase.in_step_w = s.stride_w;
  for (std::int64_t kh = 0; kh < s.kernel_h; ++kh) {
    if (whole_rows) {
      phase.taps.push_back({kh * s.dilation_h - s.pad_top, -s.pad_left, kh, 0});
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

// `tap_width`: columns that a tap reads.
void measure_taps(ConvPhase& phase, std::int64_t tap_width) {
  std::int64_t high_h = 0, high_w = 0;
  for (std::size_t t = 0; t < phase.taps.size(); ++t) {
    const ConvTap& tap = phase.taps[t];
    phase.low_h = t == 0 ? tap.dh : std::min(phase.low_h, tap.dh);
    phase.low_w = t == 0 ? tap.dw : std::min(phase.low_w, tap.dw);
    high_h = t == 0 ? tap.dh : std::max(high_h, tap.dh);
    high_w = t == 0 ? tap.dw : std::max(high_w, tap.dw);
  }
  phase.reach_h = high_h - phase.low_h + 1;
  phase.reach_w = high_w - phase.low_w + tap_width;
}

// A block of positions keeps its inputs in the second cache while all columns pass over it.
constexpr std::int64_t kBlockRows = 256;
constexpr std::int64_t kMinBlockRows = 28;
constexpr std::int64_t kBlockInputFloats = 64 * 1024;

// Floats of the padded copy for a block: pieces of one row, or rows of several samples.
std::int64_t padded_floats(const ConvPhase& phase) {
  if (!phase.is_padded) return 0;
  if (phase.rows_w > phase.block_rows) return phase.reach_h * phase.row_floats;
  const std::int64_t lines = (phase.block_rows - 1) / phase.rows_w + 2;
  const std::int64_t samples = std::min(lines, (lines - 1) / phase.rows_h + 2);
  const std::int64_t above = std::max<std::int64_t>(phase.reach_h - phase.in_step_h, 0);
  return (lines * phase.in_step_h + samples * above) * phase.row_floats;
}

void lay_out(const ConvPass& pass, ConvPhase& phase) {
  const std::int64_t end_w = (phase.rows_w - 1) * phase.in_step_w + phase.low_w + phase.reach_w;
  phase.is_padded = !phase.taps.empty() && (phase.low_w < 0 || end_w > pass.in_w);
  phase.is_even = !phase.is_padded && pass.in_w == phase.rows_w * phase.in_step_w &&
                  (phase.in_step_h == 1 && pass.in_h == phase.rows_h);
  // What a position adds to the input that is read: strides step over the rest.
  const std::int64_t pixels =
      std::min(phase.in_step_h, phase.reach_h) * std::min(phase.in_step_w, phase.reach_w);
  phase.block_rows =
      std::clamp(kBlockInputFloats / std::max<std::int64_t>(pass.in_channels * pixels, 1),
                 kMinBlockRows, kBlockRows);
  const std::int64_t columns =
      (std::min(phase.rows_w, phase.block_rows) - 1) * phase.in_step_w + phase.reach_w;
  phase.row_floats = (phase.is_padded ? columns : pass.in_w) * pass.in_channels;
  phase.padded_floats = padded_floats(phase);
}

void finish_pass(ConvPass& pass, std::int64_t tap_width) {
  const bool depthwise = pass.kind == ConvPass::Kind::kDepthwise;
  for (auto& phase : pass.phases) {
    measure_taps(phase, tap_width);
    lay_out(pass, phase);
    for (ConvTap& tap : phase.taps) {
      tap.offset = depthwise ? (tap.dh * pass.in_w + tap.dw) * pass.in_channels
                             : (tap.dh - phase.low_h) * phase.row_floats +
                                   (tap.dw - phase.low_w) * pass.in_channels;
    }
    if (depthwise) {
      phase.segments = depthwise_segments(phase.taps, {1, pass.in_channels});
    } else {
      cut_blocks(phase, {pass.run, kConvPanel}, pass.in_h);
    }
  }
  if (depthwise) pass.zeros.assign(static_cast<std::size_t>(pass.in_channels), 0.0f);
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
    bytes += phase.blocks.size() * sizeof(ConvBlockTerms) +
             phase.block_weights.size() * sizeof(std::int64_t);
    bytes += phase.row_classes.size() * (sizeof(std::uint16_t) + sizeof(std::int64_t));
  }
  return static_cast<std::int64_t>(bytes);
}

ConvPass prepare_conv_forward(const ConvShape& s) {
  check_shape(s);
  const bool whole_rows = conv_uses_padded_rows(s);
  ConvPass pass{};
  pass.kind = s.is_depthwise() ? ConvPass::Kind::kDepthwise : ConvPass::Kind::kTaps;
  pass.batch = s.batch;
  pass.in_h = s.in_height;
  pass.in_w = s.in_width;
  pass.in_channels = s.in_channels;
  pass.out_h = s.out_height;
  pass.out_w = s.out_width;
  pass.out_channels = s.out_channels;
  pass.groups = s.groups;
  pass.run = whole_rows ? s.kernel_w * s.in_channels : s.group_in();
  pass.slabs = whole_rows ? s.kernel_h : s.taps();
  pass.phases.push_back(forward_phase(s, whole_rows));
  finish_pass(pass, whole_rows ? s.kernel_w : 1);
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
  finish_pass(pass, 1);
  return pass;
}

}  // namespace batchwise::cpu

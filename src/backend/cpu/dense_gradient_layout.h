// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdint>

#include "backend/cpu/dense.h"

namespace batchwise::cpu {

// The ways to the same bits.
enum class GradientPath {
  kFewSamples,  // straight to dW, without scratch
  kNarrow,      // few columns: through the transpose of dW
  kStrips,
};

constexpr GradientPath choose_gradient_path(std::int64_t m, std::int64_t n) {
  if (n < kPanelColumns) return m <= 1 ? GradientPath::kFewSamples : GradientPath::kNarrow;
  return m <= 3 ? GradientPath::kFewSamples : GradientPath::kStrips;
}

inline constexpr std::int64_t kMaxBlockSamples = 512;
// Rows of dW whose strips of X are packed at a time; a multiple of every strip's rows.
inline constexpr std::int64_t kGradientRowBlock = 96;

// The scratch of a weight gradient: packed panels of dY, then strips of X for each thread.
struct GradientLayout {
  std::int64_t block_samples;  // samples packed at a time
  std::int64_t panel_floats;
  std::int64_t strip_floats;

  GradientLayout(std::int64_t m, std::int64_t n) {
    const std::int64_t blocks = (m + kMaxBlockSamples - 1) / kMaxBlockSamples;
    block_samples = (m + blocks - 1) / std::max<std::int64_t>(blocks, 1);
    const std::int64_t columns = (n + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
    panel_floats = columns * block_samples;
    strip_floats = kGradientRowBlock * block_samples;
  }
};

// Samples and rows of dW that the narrow path packs at a time, so that they stay in the first
// caches.
inline constexpr std::int64_t kNarrowSamples = 128;
inline constexpr std::int64_t kNarrowColumns = 128;

// Between the rows of the transpose; not a power of two, or the rows would meet in one set of the
// first cache.
constexpr std::int64_t narrow_gradient_stride(std::int64_t rows) { return rows + 16; }

// The scratch of the narrow path: for each thread the transpose of its part of dW, strips of dY and
// panels of X.
struct NarrowGradientLayout {
  std::int64_t transpose_floats, strip_floats, part_floats;

  NarrowGradientLayout(std::int64_t k, std::int64_t n, int threads) {
    const std::int64_t panels = (k + kPanelColumns - 1) / kPanelColumns;
    const std::int64_t rows = (panels + threads - 1) / threads * kPanelColumns;
    transpose_floats = (narrow_gradient_stride(rows) * n + 15) / 16 * 16;
    strip_floats = kNarrowSamples * kPanelColumns;
    part_floats = transpose_floats + strip_floats + kNarrowSamples * kNarrowColumns;
  }
};

}  // namespace batchwise::cpu

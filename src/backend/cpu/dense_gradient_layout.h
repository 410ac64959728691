// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdint>

#include "backend/cpu/dense.h"

namespace batchwise::cpu {

// Up to so many samples the weight gradient is added straight to dW, without scratch.
inline constexpr std::int64_t kFewSamples = 3;
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

}  // namespace batchwise::cpu

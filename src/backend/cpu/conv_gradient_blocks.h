// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdint>

#include "backend/cpu/conv_shape.h"

namespace batchwise::cpu {

// The blocks of output positions that a weight gradient sums from zero: rows [h_begin, h_end) and
// columns [w_begin, w_end) of one sample.
struct PositionBlock {
  std::int64_t h_begin, h_end, w_begin, w_end;

  std::int64_t width() const { return w_end - w_begin; }
};

class PositionBlocks {
 public:
  static constexpr std::int64_t kPositions = 256;

  explicit PositionBlocks(const ConvShape& shape)
      : height_(shape.out_height),
        width_(shape.out_width),
        rows_(std::max<std::int64_t>(kPositions / std::max<std::int64_t>(width_, 1), 1)),
        pieces_(std::max<std::int64_t>((width_ + kPositions - 1) / kPositions, 1)) {}

  std::int64_t count() const { return (height_ + rows_ - 1) / rows_ * pieces_; }
  std::int64_t rows() const { return std::min(rows_, height_); }
  PositionBlock block(std::int64_t i) const {
    const std::int64_t h = i / pieces_ * rows_;
    const std::int64_t w = i % pieces_ * kPositions;
    return {h, std::min(h + rows_, height_), w, std::min(w + kPositions, width_)};
  }

 private:
  std::int64_t height_, width_, rows_, pieces_;
};

// The output positions in [begin, end) along one axis whose input position * stride + offset lies
// in [0, size).
struct AxisRange {
  std::int64_t begin, end;

  std::int64_t count() const { return end - begin; }
};
inline AxisRange inside_range(std::int64_t begin, std::int64_t end, std::int64_t stride,
                              std::int64_t offset, std::int64_t size) {
  const auto first_at_least = [&](std::int64_t bound) {
    return bound <= offset ? 0 : (bound - offset + stride - 1) / stride;
  };
  begin = std::max(begin, first_at_least(0));
  return {begin, std::max(begin, std::min(end, first_at_least(size)))};
}

}  // namespace batchwise::cpu

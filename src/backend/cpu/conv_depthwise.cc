// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/conv_depthwise.h"

#include <algorithm>

namespace batchwise::cpu {
namespace {

// Positions of a row of the output done at once.
constexpr std::int64_t kPositions = 64;

// An output position (sample, i, j).
struct Position {
  std::int64_t sample, i, j;

  Position(const ConvPhase& phase, std::int64_t row)
      : sample(row / (phase.rows_h * phase.rows_w)),
        i(row / phase.rows_w % phase.rows_h),
        j(row % phase.rows_w) {}
  void next(const ConvPhase& phase) {
    if (++j < phase.rows_w) return;
    j = 0;
    if (++i < phase.rows_h) return;
    i = 0;
    ++sample;
  }
};

std::int64_t y_offset(const ConvPass& pass, const ConvPhase& phase, const Position& at) {
  const std::int64_t h = phase.out_first_h + at.i * phase.out_step_h;
  const std::int64_t w = phase.out_first_w + at.j * phase.out_step_w;
  return ((at.sample * pass.out_h + h) * pass.out_w + w) * pass.out_channels;
}

// Writes where each tap of one output position reads.
void point_taps(const ConvPass& pass, const ConvPhase& phase, const float* x, const Position& at,
                const float** inputs) {
  const std::int64_t h0 = at.i * phase.in_step_h;
  const std::int64_t w0 = at.j * phase.in_step_w;
  // May lie outside where the first tap is in the padding, so it is a number and no pointer.
  const std::int64_t first = ((at.sample * pass.in_h + h0) * pass.in_w + w0) * pass.in_channels;
  const std::int64_t low_h = h0 + phase.low_h, low_w = w0 + phase.low_w;
  if (low_h >= 0 && low_h + phase.reach_h <= pass.in_h && low_w >= 0 &&
      low_w + phase.reach_w <= pass.in_w) {
    for (const ConvTap& tap : phase.taps) *inputs++ = x + (first + tap.offset);
    return;
  }
  for (const ConvTap& tap : phase.taps) {
    const std::int64_t h = h0 + tap.dh;
    const std::int64_t w = w0 + tap.dw;
    const bool inside = h >= 0 && h < pass.in_h && w >= 0 && w < pass.in_w;
    *inputs++ = inside ? x + (first + tap.offset) : pass.zeros.data();
  }
}

}  // namespace

std::int64_t depthwise_scratch_bytes(const ConvPass& pass) {
  std::size_t taps = 1;
  for (const auto& phase : pass.phases) taps = std::max(taps, phase.taps.size());
  return kPositions * static_cast<std::int64_t>(taps) * 8;
}

void run_depthwise(const ConvPass& pass, const float* x, const float* packed, float* y,
                   const Epilogue& epilogue, ThreadPool& pool, void* scratch) {
  pool.run([&](int part) {
    auto* own = static_cast<std::byte*>(scratch) + part * depthwise_scratch_bytes(pass);
    auto** inputs = reinterpret_cast<const float**>(own);
    for (const auto& phase : pass.phases) {
      const std::int64_t taps = static_cast<std::int64_t>(phase.taps.size());
      const PartRange all = part_range(pass.batch * phase.positions(), part, pool.threads());
      Position at(phase, all.begin);
      for (std::int64_t row = all.begin; row < all.end;) {
        const std::int64_t count = std::min({kPositions, phase.rows_w - at.j, all.end - row});
        const std::int64_t offset = y_offset(pass, phase, at);
        for (std::int64_t p = 0; p < count; ++p, at.next(phase)) {
          point_taps(pass, phase, x, at, inputs + p * taps);
        }
        Epilogue own_epilogue = epilogue;
        if (epilogue.residual != nullptr) own_epilogue.residual += offset;
        pass.kernels->depthwise_row({inputs, phase.segments.data(), taps, packed, count,
                                     pass.in_channels, y + offset,
                                     phase.out_step_w * pass.out_channels, &own_epilogue});
        row += count;
      }
    }
  });
}

}  // namespace batchwise::cpu

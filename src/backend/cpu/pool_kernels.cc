// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/pool_kernels.h"

#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/pool_kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::int64_t kPoolBlock = 256;

// Calls body(tag, channel) until all channels are done.
template <class Body>
HWY_INLINE void for_pool_channels(std::int64_t channels, const Body& body) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 4> quarter;
  const hn::CappedTag<float, 1> one;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t c = 0;
  for (; c + lanes <= channels; c += lanes) body(d, c);
  for (; c + 4 <= channels; c += 4) body(quarter, c);
  for (; c < channels; ++c) body(one, c);
}

// Calls body(offset) for each tap of the window, in order.
template <class Body>
HWY_INLINE void for_pool_taps(const PoolWindow& window, const PoolSteps& steps, const Body& body) {
  std::int64_t row = window.first;
  for (std::int64_t i = 0; i < window.rows; ++i, row += steps.row_step) {
    std::int64_t at = row;
    for (std::int64_t j = 0; j < window.columns; ++j, at += steps.column_step) body(at);
  }
}

HWY_INLINE void max_window(const PoolWindow& window, const PoolSteps& steps, const float* x,
                           float* y) {
  for_pool_channels(steps.channels, [&](auto d, std::int64_t c) HWY_ATTR {
    auto largest = hn::Set(d, -std::numeric_limits<float>::infinity());
    for_pool_taps(window, steps, [&](std::int64_t at) HWY_ATTR {
      const auto value = hn::LoadU(d, x + at + c);
      // Once a NaN, it stays: no value is larger, and no value keeps it from being taken.
      const auto take = hn::Or(hn::Gt(value, largest), hn::IsNaN(value));
      largest = hn::IfThenElse(take, value, largest);
    });
    hn::StoreU(largest, d, y + c);
  });
}

void max_windows(const PoolWindow& window, const PoolSteps& steps, std::int64_t count,
                 const float* x, float* y) {
  for (std::int64_t i = 0; i < count; ++i, x += steps.x_step, y += steps.y_step) {
    max_window(window, steps, x, y);
  }
}

HWY_INLINE void average_window(const PoolWindow& window, const PoolSteps& steps, const float* x,
                               float* y) {
  for_pool_channels(steps.channels, [&](auto d, std::int64_t c) HWY_ATTR {
    auto total = hn::Zero(d);
    auto sum = hn::Zero(d);
    std::int64_t taps = 0;
    for_pool_taps(window, steps, [&](std::int64_t at) HWY_ATTR {
      sum = hn::Add(sum, hn::LoadU(d, x + at + c));
      if (++taps % kPoolBlock != 0) return;
      total = hn::Add(total, sum);
      sum = hn::Zero(d);
    });
    hn::StoreU(hn::Div(hn::Add(total, sum), hn::Set(d, window.divisor)), d, y + c);
  });
}

void average_windows(const PoolWindow& window, const PoolSteps& steps, std::int64_t count,
                     const float* x, float* y) {
  for (std::int64_t i = 0; i < count; ++i, x += steps.x_step, y += steps.y_step) {
    average_window(window, steps, x, y);
  }
}

void max_gradient_window(const PoolWindow& window, const PoolSteps& steps, const float* dy,
                         const float* x, const float* y, float* dx, bool add) {
  for_pool_channels(steps.channels, [&](auto d, std::int64_t c) HWY_ATTR {
    const auto largest = hn::LoadU(d, y + c);
    const auto largest_is_nan = hn::IsNaN(largest);
    const auto gradient = hn::LoadU(d, dy + c);
    auto given_away = hn::Gt(hn::Zero(d), hn::Zero(d));
    for_pool_taps(window, steps, [&](std::int64_t at) HWY_ATTR {
      const auto value = hn::LoadU(d, x + at + c);
      const auto met = hn::Or(hn::Eq(value, largest), hn::And(hn::IsNaN(value), largest_is_nan));
      const auto given = hn::IfThenElseZero(hn::AndNot(given_away, met), gradient);
      given_away = hn::Or(given_away, met);
      float* to = dx + at + c;
      hn::StoreU(hn::Add(add ? hn::LoadU(d, to) : hn::Zero(d), given), d, to);
    });
  });
}

void average_gradient_window(const PoolWindow& window, const PoolSteps& steps, const float* dy,
                             float* dx, bool add) {
  for_pool_channels(steps.channels, [&](auto d, std::int64_t c) HWY_ATTR {
    const auto share = hn::Div(hn::LoadU(d, dy + c), hn::Set(d, window.divisor));
    for_pool_taps(window, steps, [&](std::int64_t at) HWY_ATTR {
      float* to = dx + at + c;
      hn::StoreU(hn::Add(add ? hn::LoadU(d, to) : hn::Zero(d), share), d, to);
    });
  });
}

const PoolKernels& pool_kernels_of_target() {
  static constexpr PoolKernels kKernels{&max_windows, &average_windows, &max_gradient_window,
                                        &average_gradient_window};
  return kKernels;
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {

HWY_EXPORT(pool_kernels_of_target);

const PoolKernels& pool_kernels() { return HWY_DYNAMIC_DISPATCH(pool_kernels_of_target)(); }

}  // namespace batchwise::cpu
#endif

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cpu/normalization.h"
#include "backend/cpu/parallel_range.h"
#include "base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/normalization_lrn.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "backend/cpu/vector_lanes-inl.h"
#include "backend/cpu/vector_math-inl.h"

#ifndef BATCHWISE_BACKEND_CPU_NORMALIZATION_LRN_ARGS
#define BATCHWISE_BACKEND_CPU_NORMALIZATION_LRN_ARGS
namespace batchwise::cpu {
constexpr std::int64_t kLrnChunk = 64;  // positions, or channels where they come last

// Items [begin, end) of outer x chunks; dy is null for the forward pass.
struct LrnArgs {
  const Lrn& lrn;
  const float* dy;
  const float* x;
  const float* y;
  float* out;
  std::int64_t begin, end;
};
}  // namespace batchwise::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu {
namespace HWY_NAMESPACE {

struct LrnKernel {
  // s^-beta.
  template <class D>
  static HWY_INLINE hn::Vec<D> inverse_power(D d, hn::Vec<D> s, float beta) {
    if (beta == 0.75f) {
      const auto root = hn::Sqrt(s);
      return hn::Div(hn::Set(d, 1.0f), hn::Mul(root, hn::Sqrt(root)));
    }
    return vector_pow(d, s, hn::Set(d, -beta));
  }

  // bias + alpha / size * the sum of squares around a channel; x is at channel 0.
  template <class D, class Io>
  static HWY_INLINE hn::Vec<D> scale_at(D d, const Io& io, const Lrn& lrn, const float* x,
                                        std::int64_t channel) {
    const std::int64_t low = (lrn.size - 1) / 2;
    const std::int64_t first = std::max<std::int64_t>(0, channel - low);
    const std::int64_t last = std::min(lrn.channels - 1, channel + lrn.size - 1 - low);
    auto sum = hn::Zero(d);
    for (std::int64_t c = first; c <= last; ++c) {
      const auto value = io.load(x + c * lrn.inner);
      sum = hn::MulAdd(value, value, sum);
    }
    const auto factor = hn::Set(d, lrn.alpha / static_cast<float>(lrn.size));
    return hn::MulAdd(factor, sum, hn::Set(d, lrn.bias));
  }

  // One vector of positions, all channels; pointers are at channel 0.
  template <class D, class Io>
  static HWY_INLINE void forward_positions(D d, const Io& io, const Lrn& lrn, const float* x,
                                           float* y) {
    for (std::int64_t c = 0; c < lrn.channels; ++c) {
      const auto power = inverse_power(d, scale_at(d, io, lrn, x, c), lrn.beta);
      io.store(hn::Mul(io.load(x + c * lrn.inner), power), y + c * lrn.inner);
    }
  }

  template <class D, class Io>
  static HWY_INLINE void gradient_positions(D d, const Io& io, const LrnArgs& args,
                                            std::int64_t at) {
    const Lrn& lrn = args.lrn;
    const float* x = args.x + at;
    const std::int64_t low = (lrn.size - 1) / 2;
    const std::int64_t high = lrn.size - 1 - low;
    const float factor = 2.0f * lrn.alpha * lrn.beta / static_cast<float>(lrn.size);
    // dy y / s of the last channels seen, in a ring.
    HWY_ALIGN float ring[Lrn::kMaxSize][hn::MaxLanes(D())] = {};
    for (std::int64_t next = 0; next < lrn.channels + low; ++next) {
      auto ratio = hn::Zero(d);
      if (next < lrn.channels) {
        const std::int64_t k = next * lrn.inner;
        const auto slope = hn::Mul(io.load(args.dy + at + k), io.load(args.y + at + k));
        ratio = hn::Div(slope, scale_at(d, io, lrn, x, next));
      }
      hn::Store(ratio, d, ring[next % lrn.size]);
      const std::int64_t c = next - low;
      if (c < 0) continue;
      auto sum = hn::Zero(d);
      for (std::int64_t j = std::max<std::int64_t>(0, c - high); j <= c + low; ++j) {
        sum = hn::Add(sum, hn::Load(d, ring[j % lrn.size]));
      }
      const std::int64_t k = c * lrn.inner;
      const auto power = inverse_power(d, scale_at(d, io, lrn, x, c), lrn.beta);
      const auto direct = hn::Mul(io.load(args.dy + at + k), power);
      const auto scaled = hn::Mul(hn::Set(d, factor), io.load(x + k));
      io.store(hn::NegMulAdd(scaled, sum, direct), args.out + at + k);
    }
  }

  // Channels [first, first + count) of one position (channels last), 0 outside.
  static HWY_INLINE void gather(const float* from, std::int64_t channels, std::int64_t first,
                                std::int64_t count, float* to) {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t c = first + i;
      to[i] = c >= 0 && c < channels ? from[c] : 0.0f;
    }
  }

  // The scales of `count` channels; x begins `low` channels before the first.
  template <class D>
  static HWY_INLINE void scales_of(D d, const Lrn& lrn, const float* x, std::int64_t count,
                                   float* scales) {
    const auto factor = hn::Set(d, lrn.alpha / static_cast<float>(lrn.size));
    for (std::int64_t i = 0; i < count; i += static_cast<std::int64_t>(hn::Lanes(d))) {
      auto sum = hn::Zero(d);
      for (std::int64_t j = 0; j < lrn.size; ++j) {
        const auto value = hn::LoadU(d, x + i + j);
        sum = hn::MulAdd(value, value, sum);
      }
      hn::StoreU(hn::MulAdd(factor, sum, hn::Set(d, lrn.bias)), d, scales + i);
    }
  }

  static constexpr std::int64_t kWide = kLrnChunk + 4 * Lrn::kMaxSize + 32;

  template <class D>
  static HWY_INLINE void forward_channels(D d, const LrnArgs& args, std::int64_t row,
                                          std::int64_t first, std::int64_t last) {
    const Lrn& lrn = args.lrn;
    const float* x = args.x + row * lrn.channels;
    float* y = args.out + row * lrn.channels;
    const std::int64_t low = (lrn.size - 1) / 2;
    float wide[kWide];
    float scales[kWide];
    gather(x, lrn.channels, first - low, kWide, wide);
    scales_of(d, lrn, wide, last - first, scales);
    for_each_vector(d, 0, last - first, [&](auto io, std::int64_t i) HWY_ATTR {
      const auto power = inverse_power(d, hn::LoadU(d, scales + i), lrn.beta);
      io.store(hn::Mul(io.load(x + first + i), power), y + first + i);
    });
  }

  template <class D>
  static HWY_INLINE void gradient_channels(D d, const LrnArgs& args, std::int64_t row,
                                           std::int64_t first, std::int64_t last) {
    const Lrn& lrn = args.lrn;
    const std::int64_t base = row * lrn.channels;
    const std::int64_t low = (lrn.size - 1) / 2;
    const std::int64_t high = lrn.size - 1 - low;
    const float factor = 2.0f * lrn.alpha * lrn.beta / static_cast<float>(lrn.size);
    float wide[kWide], scales[kWide], slopes[kWide], outputs[kWide], ratios[kWide];
    // Channels whose window has one of [first, last) begin at first - high.
    gather(args.x + base, lrn.channels, first - high - low, kWide, wide);
    const std::int64_t around = last - first + high + low;
    scales_of(d, lrn, wide, around, scales);
    gather(args.dy + base, lrn.channels, first - high, kWide, slopes);
    gather(args.y + base, lrn.channels, first - high, kWide, outputs);
    const std::int64_t begin = std::max<std::int64_t>(0, high - first);
    for (std::int64_t i = 0; i < kWide; ++i) ratios[i] = 0.0f;
    const std::int64_t end = std::min(around, lrn.channels - first + high);
    for_each_vector(d, begin, end, [&](auto io, std::int64_t i) HWY_ATTR {
      const auto slope = hn::Mul(io.load(slopes + i), io.load(outputs + i));
      io.store(hn::Div(slope, io.load(scales + i)), ratios + i);
    });
    for_each_vector(d, 0, last - first, [&](auto io, std::int64_t i) HWY_ATTR {
      auto sum = hn::Zero(d);
      for (std::int64_t j = 0; j < lrn.size; ++j) sum = hn::Add(sum, io.load(ratios + i + j));
      const auto power = inverse_power(d, hn::LoadU(d, scales + high + i), lrn.beta);
      const std::int64_t at = base + first + i;
      const auto direct = hn::Mul(io.load(args.dy + at), power);
      const auto scaled = hn::Mul(hn::Set(d, factor), io.load(args.x + at));
      io.store(hn::NegMulAdd(scaled, sum, direct), args.out + at);
    });
  }

  template <class D>
  void operator()(D d, const LrnArgs& args) const {
    const Lrn& lrn = args.lrn;
    const std::int64_t wide = lrn.inner == 1 ? lrn.channels : lrn.inner;
    const std::int64_t chunks = (wide + kLrnChunk - 1) / kLrnChunk;
    for (std::int64_t item = args.begin; item < args.end; ++item) {
      const std::int64_t row = item / chunks;
      const std::int64_t first = item % chunks * kLrnChunk;
      const std::int64_t last = std::min(first + kLrnChunk, wide);
      if (lrn.inner == 1) {
        if (args.dy == nullptr) {
          forward_channels(d, args, row, first, last);
        } else {
          gradient_channels(d, args, row, first, last);
        }
        continue;
      }
      for_each_vector(d, first, last, [&](auto io, std::int64_t i) HWY_ATTR {
        const std::int64_t at = row * lrn.channels * lrn.inner + i;
        if (args.dy == nullptr) {
          forward_positions(d, io, lrn, args.x + at, args.out + at);
        } else {
          gradient_positions(d, io, args, at);
        }
      });
    }
  }
};

void lrn_range(const LrnArgs& args) { at_vector_width<LrnKernel>(args); }

}  // namespace HWY_NAMESPACE
}  // namespace batchwise::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {
namespace {

HWY_EXPORT(lrn_range);

void run_lrn(const Lrn& lrn, const float* dy, const float* x, const float* y, float* out,
             ThreadPool* pool) {
  BW_CHECK(lrn.size >= 1 && lrn.size <= Lrn::kMaxSize, "size {}", lrn.size);
  const std::int64_t wide = lrn.inner == 1 ? lrn.channels : lrn.inner;
  const std::int64_t chunks = (wide + kLrnChunk - 1) / kLrnChunk;
  const std::int64_t each = std::min(wide, kLrnChunk) * (lrn.inner == 1 ? 1 : lrn.channels);
  for_each_range(pool, lrn.outer * chunks, each * lrn.size, 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   HWY_DYNAMIC_DISPATCH(lrn_range)({lrn, dy, x, y, out, begin, end});
                 });
}

}  // namespace

void lrn(const Lrn& lrn, const float* x, float* y, ThreadPool* pool) {
  run_lrn(lrn, nullptr, x, nullptr, y, pool);
}

void lrn_grad(const Lrn& lrn, const float* dy, const float* x, const float* y, float* dx,
              ThreadPool* pool) {
  run_lrn(lrn, dy, x, y, dx, pool);
}

}  // namespace batchwise::cpu
#endif  // HWY_ONCE

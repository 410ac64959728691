// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/random.h"

#include "backend/cpu/parallel_range.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/random.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "backend/cpu/vector_lanes-inl.h"

#ifndef BATCHWISE_BACKEND_CPU_RANDOM_ARGS
#define BATCHWISE_BACKEND_CPU_RANDOM_ARGS
namespace batchwise::cpu {
constexpr std::int64_t kDropoutChunk = 1024;  // elements of a sample; four times any vector

// Items [begin, end) of samples x chunks.
struct DropoutArgs {
  const Dropout& dropout;
  const float* x;
  float* y;
  std::int64_t begin, end;
};
}  // namespace batchwise::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu {
namespace HWY_NAMESPACE {

template <class DU>
struct WideProduct {
  hn::Vec<DU> high, low;
};
template <class DU>
HWY_INLINE WideProduct<DU> multiply_wide(DU du, hn::Vec<DU> a, std::uint32_t factor) {
  const hn::RepartitionToWide<DU> d64;
  const auto b = hn::Set(du, factor);
  const auto even = hn::MulEven(a, b);
  const auto odd = hn::MulEven(hn::BitCast(du, hn::ShiftRight<32>(hn::BitCast(d64, a))), b);
  return {hn::OddEven(hn::BitCast(du, odd), hn::BitCast(du, hn::ShiftRight<32>(even))),
          hn::OddEven(hn::BitCast(du, hn::ShiftLeft<32>(odd)), hn::BitCast(du, even))};
}

// Writes the words of blocks [block, block + lanes) of Philox4x32-10, in the order of elements.
template <class DU>
HWY_INLINE void write_words(DU du, const Dropout& dropout, std::uint32_t sample,
                            std::uint32_t block, std::uint32_t* words) {
  auto c0 = hn::Iota(du, block);
  auto c1 = hn::Set(du, sample);
  auto c2 = hn::Set(du, static_cast<std::uint32_t>(dropout.step));
  auto c3 = hn::Set(du, static_cast<std::uint32_t>(dropout.stream));
  auto low = static_cast<std::uint32_t>(dropout.seed);
  auto high = static_cast<std::uint32_t>(dropout.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const auto a = multiply_wide(du, c0, 0xD2511F53u);
    const auto b = multiply_wide(du, c2, 0xCD9E8D57u);
    c0 = hn::Xor(hn::Xor(b.high, c1), hn::Set(du, low));
    c1 = b.low;
    c2 = hn::Xor(hn::Xor(a.high, c3), hn::Set(du, high));
    c3 = a.low;
    low += 0x9E3779B9u;
    high += 0xBB67AE85u;
  }
  hn::StoreInterleaved4(c0, c1, c2, c3, du, words);
}

struct DropoutKernel {
  template <class D>
  void operator()(D d, const DropoutArgs& args) const {
    const hn::RebindToUnsigned<D> du;
    const hn::RebindToSigned<D> di;
    constexpr std::int64_t kLanes = hn::MaxLanes(D());
    const Dropout& dropout = args.dropout;
    const std::int64_t chunks = (dropout.per_sample + kDropoutChunk - 1) / kDropoutChunk;
    const auto scale = hn::Set(d, static_cast<float>(1.0 / (1.0 - dropout.ratio)));
    // Signed comparison of numbers moved down by 2^31 is unsigned comparison.
    const auto middle = hn::Set(du, 0x80000000u);
    const auto threshold = hn::BitCast(
        di, hn::Xor(hn::Set(du, static_cast<std::uint32_t>(dropout.ratio * 4294967296.0)), middle));
    HWY_ALIGN std::uint32_t words[4 * hn::MaxLanes(D())];
    for (std::int64_t item = args.begin; item < args.end; ++item) {
      const std::int64_t sample = item / chunks;
      const std::int64_t first = item % chunks * kDropoutChunk;
      const std::int64_t last =
          first + kDropoutChunk < dropout.per_sample ? first + kDropoutChunk : dropout.per_sample;
      const float* x = args.x + sample * dropout.per_sample;
      float* y = args.y + sample * dropout.per_sample;
      const auto place = static_cast<std::uint32_t>(dropout.first_sample + sample);
      for (std::int64_t at = first; at < last; at += 4 * kLanes) {
        write_words(du, dropout, place, static_cast<std::uint32_t>(at / 4), words);
        const std::int64_t end = at + 4 * kLanes < last ? at + 4 * kLanes : last;
        for_each_vector(d, at, end, [&](auto io, std::int64_t i) HWY_ATTR {
          const auto word = hn::BitCast(di, hn::Xor(hn::Load(du, words + (i - at)), middle));
          const auto drops = hn::RebindMask(d, hn::Lt(word, threshold));
          io.store(hn::IfThenZeroElse(drops, hn::Mul(io.load(x + i), scale)), y + i);
        });
      }
    }
  }
};

void dropout_range(const DropoutArgs& args) { at_vector_width<DropoutKernel>(args); }

}  // namespace HWY_NAMESPACE
}  // namespace batchwise::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {

HWY_EXPORT(dropout_range);

void dropout(const Dropout& dropout, const float* x, float* y, ThreadPool* pool) {
  const std::int64_t chunks = (dropout.per_sample + kDropoutChunk - 1) / kDropoutChunk;
  for_each_range(pool, dropout.samples * chunks,
                 dropout.per_sample < kDropoutChunk ? dropout.per_sample : kDropoutChunk, 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   HWY_DYNAMIC_DISPATCH(dropout_range)({dropout, x, y, begin, end});
                 });
}

}  // namespace batchwise::cpu
#endif  // HWY_ONCE

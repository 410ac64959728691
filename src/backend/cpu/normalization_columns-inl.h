// SPDX-License-Identifier: Apache-2.0
// Sums of columns over the rows of a group, in blocks of 256 rows, each of pieces of 16: a chain of
// a thousand values that are alike would drift by many last bits.
#include <hwy/highway.h>

#include "backend/cpu/normalization_columns.h"
#include "backend/cpu/vector_lanes-inl.h"

#if defined(BATCHWISE_BACKEND_CPU_NORMALIZATION_COLUMNS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_NORMALIZATION_COLUMNS_INL_H_
#undef BATCHWISE_BACKEND_CPU_NORMALIZATION_COLUMNS_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_NORMALIZATION_COLUMNS_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu {
namespace HWY_NAMESPACE {

// One chunk of channels [first, last) in the rows [begin, end) of a group.
struct ColumnChunk {
  std::int64_t channels, begin, end, first, last;
};

// total + rest += term, where `rest` is what rounding took from the total.
template <class V>
HWY_INLINE void add_exactly(V& total, V& rest, V term) {
  const V sum = hn::Add(total, term);
  const V added = hn::Sub(sum, total);
  rest = hn::Add(rest, hn::Add(hn::Sub(total, hn::Sub(sum, added)), hn::Sub(term, added)));
  total = sum;
}

// partial[s][v] += the sum over the chunk's rows, at most kRowPiece, from zero.
template <int kSums, int kVectors, class D, class Io, class Terms>
HWY_INLINE void add_piece(D d, const Io& io, const ColumnChunk& chunk, std::int64_t channel,
                          const Terms& terms, hn::Vec<D> (&partial)[kSums][kVectors]) {
  constexpr std::int64_t kLanes = hn::MaxLanes(D());
  hn::Vec<D> piece[kSums][kVectors];
  for (auto& row : piece) {
    for (auto& v : row) v = hn::Zero(d);
  }
  for (std::int64_t row = chunk.begin; row < chunk.end; ++row) {
    for (int v = 0; v < kVectors; ++v) {
      hn::Vec<D> term[kSums];
      terms(io, row * chunk.channels + channel + v * kLanes, channel - chunk.first + v * kLanes,
            term);
      for (int s = 0; s < kSums; ++s) piece[s][v] = hn::Add(piece[s][v], term[s]);
    }
  }
  for (int s = 0; s < kSums; ++s) {
    for (int v = 0; v < kVectors; ++v) partial[s][v] = hn::Add(partial[s][v], piece[s][v]);
  }
}

// sums[s][v] = the sum over the chunk's rows of terms(io, offset of the vector)[s].
template <int kSums, int kVectors, class D, class Io, class Terms>
HWY_INLINE void sum_vectors(D d, const Io& io, const ColumnChunk& chunk, std::int64_t channel,
                            const Terms& terms, float (*sums)[kChannelChunk]) {
  constexpr std::int64_t kLanes = hn::MaxLanes(D());
  hn::Vec<D> total[kSums][kVectors], rest[kSums][kVectors];
  for (int s = 0; s < kSums; ++s) {
    for (int v = 0; v < kVectors; ++v) total[s][v] = rest[s][v] = hn::Zero(d);
  }
  for (std::int64_t block = chunk.begin; block < chunk.end; block += kRowBlock) {
    const std::int64_t block_end = block + kRowBlock < chunk.end ? block + kRowBlock : chunk.end;
    hn::Vec<D> partial[kSums][kVectors];
    for (auto& row : partial) {
      for (auto& v : row) v = hn::Zero(d);
    }
    for (std::int64_t first = block; first < block_end; first += kRowPiece) {
      const std::int64_t last = first + kRowPiece < block_end ? first + kRowPiece : block_end;
      add_piece<kSums, kVectors>(d, io, {chunk.channels, first, last, chunk.first, chunk.last},
                                 channel, terms, partial);
    }
    for (int s = 0; s < kSums; ++s) {
      for (int v = 0; v < kVectors; ++v) add_exactly(total[s][v], rest[s][v], partial[s][v]);
    }
  }
  for (int s = 0; s < kSums; ++s) {
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(hn::Add(total[s][v], rest[s][v]), d,
                 sums[s] + (channel - chunk.first + v * kLanes));
    }
  }
}

template <int kSums, class D, class Terms>
HWY_INLINE void sum_columns_of(D d, const ColumnChunk& chunk, const Terms& terms,
                               float (*sums)[kChannelChunk]) {
  constexpr int kVectors = static_cast<int>(kChannelChunk / hn::MaxLanes(D())) / kSums;
  constexpr std::int64_t kWide = kVectors * static_cast<std::int64_t>(hn::MaxLanes(D()));
  std::int64_t c = chunk.first;
  for (; c + kWide <= chunk.last; c += kWide) {
    sum_vectors<kSums, kVectors>(d, WholeVector<D>(), chunk, c, terms, sums);
  }
  for_each_vector(d, c, chunk.last, [&](auto io, std::int64_t at) HWY_ATTR {
    sum_vectors<kSums, 1>(d, io, chunk, at, terms, sums);
  });
}

template <class D, class Body>
HWY_INLINE void for_each_element(D d, const ColumnChunk& chunk, const Body& body) {
  for (std::int64_t row = chunk.begin; row < chunk.end; ++row) {
    const std::int64_t at = row * chunk.channels + chunk.first;
    for_each_vector(d, 0, chunk.last - chunk.first,
                    [&](auto io, std::int64_t k) HWY_ATTR { body(io, at + k, k); });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace batchwise::cpu
HWY_AFTER_NAMESPACE();

#endif

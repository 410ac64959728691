// SPDX-License-Identifier: Apache-2.0
// Loops over elements and rows. A row is summed in 16 virtual lanes (lane j takes elements j, j+16,
// ...), which are combined in a fixed tree: the bits do not follow the width of a vector.
#include <hwy/highway.h>

#include "backend/cpu/vector_width.h"

#if defined(BATCHWISE_BACKEND_CPU_VECTOR_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_VECTOR_LANES_INL_H_
#undef BATCHWISE_BACKEND_CPU_VECTOR_LANES_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_VECTOR_LANES_INL_H_
#endif

#include <cstdint>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::int64_t kVirtualLanes = 16;
// A lane's running sum is put aside after so many elements of the row: long rows stay accurate.
constexpr std::int64_t kLaneBlock = 256 * kVirtualLanes;

// Runs Kernel()(tag, args) with the widest vectors that the target has and the cap allows.
template <class Kernel, class Args>
HWY_INLINE void at_vector_width(const Args& args) {
#if HWY_TARGET == HWY_AVX2
  if (uses_narrow_vectors()) {
    Kernel()(hn::CappedTag<float, 4>(), args);
    return;
  }
#endif
  Kernel()(hn::CappedTag<float, 16>(), args);
}

// How a loop body loads and stores: a whole vector, or the first `count` lanes of one. Lanes past
// the end are loaded as 0 and not stored.
template <class D>
struct WholeVector {
  HWY_INLINE hn::Vec<D> load(const float* from) const { return hn::LoadU(D(), from); }
  HWY_INLINE void store(hn::Vec<D> v, float* to) const { hn::StoreU(v, D(), to); }
  HWY_INLINE hn::Vec<D> zero_rest(hn::Vec<D> v) const { return v; }
  HWY_INLINE hn::Vec<D> lowest_rest(hn::Vec<D> v) const { return v; }
  HWY_INLINE std::size_t lanes() const { return hn::Lanes(D()); }
};

template <class D>
struct PartVector {
  std::size_t count;
  HWY_INLINE hn::Vec<D> load(const float* from) const {
    const D d;
#if HWY_TARGET <= HWY_AVX2 && HWY_ARCH_X86
    return hn::MaskedLoad(hn::FirstN(d, count), d, from);
#else
    HWY_ALIGN float lane[hn::MaxLanes(D())] = {};
    for (std::size_t i = 0; i < count; ++i) lane[i] = from[i];
    return hn::Load(d, lane);
#endif
  }
  HWY_INLINE void store(hn::Vec<D> v, float* to) const {
    const D d;
#if HWY_TARGET <= HWY_AVX2 && HWY_ARCH_X86
    hn::BlendedStore(v, hn::FirstN(d, count), d, to);
#else
    HWY_ALIGN float lane[hn::MaxLanes(D())];
    hn::Store(v, d, lane);
    for (std::size_t i = 0; i < count; ++i) to[i] = lane[i];
#endif
  }
  HWY_INLINE hn::Vec<D> zero_rest(hn::Vec<D> v) const {
    return hn::IfThenElseZero(hn::FirstN(D(), count), v);
  }
  HWY_INLINE hn::Vec<D> lowest_rest(hn::Vec<D> v) const {
    const D d;
    return hn::IfThenElse(hn::FirstN(d, count), v,
                          hn::Set(d, -std::numeric_limits<float>::infinity()));
  }
  HWY_INLINE std::size_t lanes() const { return count; }
};

// Calls body(io, i) for each vector of [begin, end), io being WholeVector or PartVector.
template <class D, class Body>
HWY_INLINE void for_each_vector(D d, std::int64_t begin, std::int64_t end, const Body& body) {
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = begin;
  for (; i + lanes <= end; i += lanes) body(WholeVector<D>(), i);
  if (i < end) body(PartVector<D>{static_cast<std::size_t>(end - i)}, i);
}

template <class D>
HWY_INLINE hn::Vec<D> max_keeping_nan(D, hn::Vec<D> a, hn::Vec<D> b) {
  const auto larger = hn::IfThenElse(hn::IsNaN(b), b, hn::Max(a, b));
  return hn::IfThenElse(hn::IsNaN(a), a, larger);
}

template <class D>
HWY_INLINE hn::Vec<D> min_keeping_nan(D, hn::Vec<D> a, hn::Vec<D> b) {
  const auto smaller = hn::IfThenElse(hn::IsNaN(b), b, hn::Min(a, b));
  return hn::IfThenElse(hn::IsNaN(a), a, smaller);
}

// The sum over i in [0, count) of value(io, i), which gives a vector.
template <class D, class Value>
HWY_INLINE float sum_lanes(D d, std::int64_t count, const Value& value) {
  constexpr std::int64_t kLanes = hn::MaxLanes(D());
  constexpr int kVectors = static_cast<int>(kVirtualLanes / kLanes);
  hn::Vec<D> total[kVectors];
  for (int v = 0; v < kVectors; ++v) total[v] = hn::Zero(d);
  const std::int64_t whole = count / kVirtualLanes * kVirtualLanes;
  std::int64_t i = 0;
  while (i < whole) {
    const std::int64_t end = whole - i < kLaneBlock ? whole : i + kLaneBlock;
    hn::Vec<D> block[kVectors];
    for (int v = 0; v < kVectors; ++v) block[v] = hn::Zero(d);
    for (; i < end; i += kVirtualLanes) {
      for (int v = 0; v < kVectors; ++v) {
        block[v] = hn::Add(block[v], value(WholeVector<D>(), i + v * kLanes));
      }
    }
    for (int v = 0; v < kVectors; ++v) total[v] = hn::Add(total[v], block[v]);
  }
  for (int v = 0; v < kVectors && i < count; ++v, i += kLanes) {
    const std::int64_t rest = count - i < kLanes ? count - i : kLanes;
    const PartVector<D> io{static_cast<std::size_t>(rest)};
    total[v] = hn::Add(total[v], io.zero_rest(value(io, i)));
  }
  HWY_ALIGN float lane[kVirtualLanes];
  for (int v = 0; v < kVectors; ++v) hn::Store(total[v], d, lane + v * kLanes);
  for (int half = kVirtualLanes / 2; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) lane[j] += lane[j + half];
  }
  return lane[0];
}

struct KeepNan {};
struct IgnoreNan {};
template <class D>
HWY_INLINE hn::Vec<D> larger(D d, hn::Vec<D> a, hn::Vec<D> b, KeepNan) {
  return max_keeping_nan(d, a, b);
}
template <class D>
HWY_INLINE hn::Vec<D> larger(D, hn::Vec<D> a, hn::Vec<D> b, IgnoreNan) {
  return hn::Max(b, a);  // a where b is NaN (x86)
}

// The largest of row[0, count). A NaN in the row is the result, or anything where the caller says
// that it does not matter.
template <class D, class Nan>
HWY_INLINE float max_lanes(D d, const float* row, std::int64_t count, Nan nan) {
  constexpr std::int64_t kLanes = hn::MaxLanes(D());
  constexpr std::int64_t kWide = 4 * kLanes;
  const auto lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  auto a = lowest, b = lowest, c = lowest, e = lowest;
  std::int64_t i = 0;
  for (; i + kWide <= count; i += kWide) {
    a = larger(d, a, hn::LoadU(d, row + i), nan);
    b = larger(d, b, hn::LoadU(d, row + i + kLanes), nan);
    c = larger(d, c, hn::LoadU(d, row + i + 2 * kLanes), nan);
    e = larger(d, e, hn::LoadU(d, row + i + 3 * kLanes), nan);
  }
  for_each_vector(d, i, count, [&](auto io, std::int64_t at) HWY_ATTR {
    a = larger(d, a, io.lowest_rest(io.load(row + at)), nan);
  });
  a = larger(d, larger(d, a, b, nan), larger(d, c, e, nan), nan);
  HWY_ALIGN float lane[kLanes];
  hn::Store(a, d, lane);
  float result = lane[0];
  for (std::int64_t j = 1; j < kLanes; ++j) {
    if (!(lane[j] <= result) && result == result) result = lane[j];
  }
  // Of 0 and -0, and of several NaNs, which comes out would follow the width.
  return result == result ? result + 0.0f : std::numeric_limits<float>::quiet_NaN();
}

}  // namespace HWY_NAMESPACE
}  // namespace batchwise::cpu
HWY_AFTER_NAMESPACE();

#endif

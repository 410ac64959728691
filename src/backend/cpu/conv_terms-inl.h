// SPDX-License-Identifier: Apache-2.0
// What the register tiles of convolutions share: loops over accumulators, one term of every sum.
#if defined(BATCHWISE_BACKEND_CPU_CONV_TERMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_CONV_TERMS_INL_H_
#undef BATCHWISE_BACKEND_CPU_CONV_TERMS_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_CONV_TERMS_INL_H_
#endif

#include <type_traits>
#include <utility>

#include "backend/cpu/fma-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

template <class D>
inline constexpr int kConvLanes = static_cast<int>(hn::MaxLanes(D()));

#undef BW_CONV_INLINE
#define BW_CONV_INLINE HWY_ATTR __attribute__((always_inline))

// Calls body(i) for i in [0, kCount) as constants. A loop that is unrolled only later leaves the
// accumulators in memory (g++ 12: two thirds of the speed).
template <class Body, int... kIndices>
HWY_INLINE void conv_each(std::integer_sequence<int, kIndices...>, const Body& body) {
  (body(std::integral_constant<int, kIndices>()), ...);
}
template <int kCount, class Body>
HWY_INLINE void conv_each(const Body& body) {
  conv_each(std::make_integer_sequence<int, kCount>(), body);
}

// Calls body(row, vector) for every accumulator of a tile.
template <int kRows, int kVectors, class Body>
HWY_INLINE void conv_each_sum(const Body& body) {
  conv_each<kRows>([&](auto r) BW_CONV_INLINE {
    conv_each<kVectors>([&](auto v) BW_CONV_INLINE { body(r, v); });
  });
}

template <class D, int kRows, int kVectors>
HWY_INLINE void conv_clear(D d, hn::Vec<D> (&sums)[kRows][kVectors]) {
  conv_each_sum<kRows, kVectors>([&](auto r, auto v) BW_CONV_INLINE { sums[r][v] = hn::Zero(d); });
}

// Adds b[v] * a(row) to every sum.
template <class D, int kRows, int kVectors, class LoadA, class LoadB>
HWY_INLINE void conv_add_terms(hn::Vec<D> (&sums)[kRows][kVectors], const LoadA& load_a,
                               const LoadB& load_b) {
  hn::Vec<D> b[kVectors];
  conv_each<kVectors>([&](auto v) BW_CONV_INLINE {
    b[v] = load_b(v);
    keep_in_register(b[v]);
  });
  conv_each<kRows>([&](auto r) BW_CONV_INLINE {
    auto a = load_a(r);
    keep_in_register(a);
    conv_each<kVectors>([&](auto v) BW_CONV_INLINE { multiply_add(sums[r][v], a, b[v]); });
  });
}

// Asks for the lines that a tile is going to write or read: they arrive while it computes.
template <int kFloats, bool kWrite>
HWY_INLINE void conv_prefetch_row(const float* row) {
  for (int f = 0; f < kFloats; f += 16) __builtin_prefetch(row + f, kWrite, 3);
}

// Applies the epilogue to one vector whose bias is at `column` and whose residual is at `at`.
template <Activation kActivation, class D>
HWY_INLINE hn::Vec<D> conv_finish(D d, hn::Vec<D> sum, const Epilogue& epilogue,
                                  std::int64_t column, std::int64_t at) {
  if (epilogue.bias != nullptr) sum = hn::Add(sum, hn::LoadU(d, epilogue.bias + column));
  if (epilogue.residual != nullptr) sum = hn::Add(sum, hn::LoadU(d, epilogue.residual + at));
  return activate<kActivation>(d, sum, epilogue);
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // BATCHWISE_BACKEND_CPU_CONV_TERMS_INL_H_

// SPDX-License-Identifier: Apache-2.0
// Vector building blocks of the kernels, for one target at a time (no #pragma once: Highway
// includes this once for each). Everything is templated on the Highway tag, so that a test can run
// a kernel with narrower vectors than the target's.
#if defined(BATCHWISE_BACKEND_CPU_FMA_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_FMA_INL_H_
#undef BATCHWISE_BACKEND_CPU_FMA_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_FMA_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "backend/cpu/epilogue.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#undef BW_FMA_IN_ASSEMBLY
#if HWY_ARCH_X86_64 && HWY_NATIVE_FMA
#define BW_FMA_IN_ASSEMBLY 1
#else
#define BW_FMA_IN_ASSEMBLY 0
#endif

// Keeps a loaded vector in a register. g++ 12 would load it again for each use, and be bound by
// loads.
template <class V>
HWY_INLINE void keep_in_register(V& vector) {
#if HWY_ARCH_X86_64
  asm volatile("" : "+v"(vector.raw));
#else
  (void)vector;
#endif
}

// A pointer that the compiler may not derive from others: it would else keep one for every row and
// step, more than there are registers.
HWY_INLINE void keep_apart(const float*& pointer) {
#if HWY_ARCH_X86_64
  asm volatile("" : "+r"(pointer));
#else
  (void)pointer;
#endif
}

// sum += a * b, rounded once where the target has fused multiply-add. In assembly, because the
// compilers otherwise move accumulators through memory (g++ 12: 65 % of the speed).
template <class V>
HWY_INLINE void multiply_add(V& sum, V a, V b) {
#if BW_FMA_IN_ASSEMBLY
  asm volatile("vfmadd231ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
#else
  sum = hn::MulAdd(a, b, sum);
#endif
}

// Loads or stores the first `count` lanes and touches no memory behind them; lanes not loaded are
// 0.
template <class D>
HWY_INLINE hn::Vec<D> load_first(D d, const float* from, std::int64_t count) {
#if HWY_TARGET == HWY_SSE4
  HWY_ALIGN float lanes[hn::MaxLanes(D())] = {};
  for (std::int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  return hn::Load(d, lanes);
#else
  return hn::MaskedLoad(hn::FirstN(d, static_cast<std::size_t>(count)), d, from);
#endif
}

template <class D>
HWY_INLINE void store_first(D d, hn::Vec<D> vector, float* to, std::int64_t count) {
#if HWY_TARGET == HWY_SSE4
  HWY_ALIGN float lanes[hn::MaxLanes(D())];
  hn::Store(vector, d, lanes);
  for (std::int64_t i = 0; i < count; ++i) to[i] = lanes[i];
#else
  hn::BlendedStore(vector, hn::FirstN(d, static_cast<std::size_t>(count)), d, to);
#endif
}

// The activation of an epilogue, for a switch outside of the loop over elements. The order of the
// operands of Min and Max lets a NaN pass.
template <Activation kActivation, class D>
HWY_INLINE hn::Vec<D> activate(D d, hn::Vec<D> x, const Epilogue& epilogue) {
  const auto zero = hn::Zero(d);
  switch (kActivation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return hn::Max(zero, x);
    case Activation::kLeakyRelu:
      return hn::IfThenElse(hn::Lt(x, zero), hn::Mul(x, hn::Set(d, epilogue.alpha)), x);
    case Activation::kClip:
      return hn::Min(hn::Set(d, epilogue.beta), hn::Max(hn::Set(d, epilogue.alpha), x));
  }
  return x;
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // BATCHWISE_BACKEND_CPU_FMA_INL_H_

// SPDX-License-Identifier: Apache-2.0
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/fma_peak.cc"
#include <hwy/foreach_target.h>
// Behind foreach_target.h, which sets the target.
#include "backend/cpu/fma-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

// Floating-point operations of `steps` steps of independent chains.
double run_chains(std::int64_t steps) {
  const hn::ScalableTag<float> d;
  constexpr int kChains = 12;
  hn::Vec<hn::ScalableTag<float>> sums[kChains];
  const auto x = hn::Set(d, 0.5f);
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) sums[i] = hn::Zero(d);
  for (std::int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) multiply_add(sums[i], x, x);
  }
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) keep_in_register(sums[i]);
  return 2.0 * kChains * static_cast<double>(hn::Lanes(d)) * static_cast<double>(steps);
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <chrono>

#include "backend/cpu/fma_peak.h"

namespace batchwise::cpu {
HWY_EXPORT(run_chains);

double measure_fma_peak_per_us(ThreadPool& pool) {
  constexpr std::int64_t kSteps = 200000;
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    pool.run([](int) { HWY_DYNAMIC_DISPATCH(run_chains)(kSteps); });
    const std::chrono::duration<double, std::micro> spent =
        std::chrono::steady_clock::now() - start;
    const double operations = HWY_DYNAMIC_DISPATCH(run_chains)(1) * static_cast<double>(kSteps);
    best = std::max(best, operations * pool.threads() / spent.count());
  }
  return best;
}

}  // namespace batchwise::cpu
#endif  // HWY_ONCE

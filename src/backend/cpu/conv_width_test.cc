// SPDX-License-Identifier: Apache-2.0
// The same kernels with 128-bit and 256-bit vectors on every target: with fused multiply-add the
// width must not show, so that any machine checks what holds between machines.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/conv_width_test.cc"
#include <hwy/foreach_target.h>
// Behind foreach_target.h, which sets the target.
#include "backend/cpu/conv_kernels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

ConvKernels conv_kernels_128() { return make_conv_kernels<hn::CappedTag<float, 4>>(); }
ConvKernels conv_kernels_256() { return make_conv_kernels<hn::CappedTag<float, 8>>(); }

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <gtest/gtest.h>

#include "backend/cpu/conv_law_test.h"

namespace batchwise::cpu {

HWY_EXPORT(conv_kernels_128);
HWY_EXPORT(conv_kernels_256);

namespace {

TEST(ConvWidth, BitsDoNotDependOnTheVectors) {
  ThreadPool pool(2);
  for (Isa isa : usable_isas()) {
    const IsaCap cap(isa);
    const bool fused = has_fused_multiply_add();
    const ConvKernels narrow = HWY_DYNAMIC_DISPATCH(conv_kernels_128)();
    const ConvKernels middle = HWY_DYNAMIC_DISPATCH(conv_kernels_256)();
    for (const auto& [name, s] : conv_cases()) {
      const auto x = random_guarded(x_floats(s), 1);
      const auto w = random_guarded(weight_floats(s), 2);
      const auto dy = random_guarded(y_floats(s), 3);
      const auto y = forward_by_law(s, x.data(), w.data(), fused);
      const auto dx = input_gradient_by_law(s, dy.data(), w.data(), fused);
      std::vector<float> dw(static_cast<std::size_t>(weight_floats(s)));
      add_weight_gradient_by_law(s, x.data(), dy.data(), dw.data(), fused);
      for (const ConvKernels* kernels : {&narrow, &middle}) {
        const ConvRun run = run_all(s, x.data(), w.data(), dy.data(), pool, kernels);
        EXPECT_TRUE(same_bits(run.y, y)) << name << " " << kernels->lanes;
        EXPECT_TRUE(same_bits(run.dx, dx)) << name << " " << kernels->lanes;
        EXPECT_TRUE(same_bits(run.dw, dw)) << name << " " << kernels->lanes;
        EXPECT_TRUE(run.guards_are_whole) << name << " " << kernels->lanes;
      }
    }
  }
}

}  // namespace
}  // namespace batchwise::cpu
#endif  // HWY_ONCE

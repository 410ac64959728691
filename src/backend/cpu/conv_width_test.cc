// SPDX-License-Identifier: Apache-2.0
// Instruction sets and widths of vectors, 128-bit ones with fused multiply-add among them, so that
// any machine checks what holds between machines.
#include <gtest/gtest.h>

#include "backend/cpu/conv_law_test.h"
#include "backend/cpu/kernel_settings_test.h"

namespace batchwise::cpu {
namespace {

TEST(ConvWidth, BitsDoNotDependOnTheVectors) {
  for_each_kernel_setting([&](const std::string& setting, bool fused, ThreadPool* pool) {
    for (const auto& [name, s] : conv_cases()) {
      const auto x = random_guarded(x_floats(s), 1);
      const auto w = random_guarded(weight_floats(s), 2);
      const auto dy = random_guarded(y_floats(s), 3);
      std::vector<float> dw(static_cast<std::size_t>(weight_floats(s)));
      add_weight_gradient_by_law(s, x.data(), dy.data(), dw.data(), fused);
      const ConvRun run = run_all(s, x.data(), w.data(), dy.data(), *pool);
      EXPECT_TRUE(same_bits(run.y, forward_by_law(s, x.data(), w.data(), fused)))
          << name << " " << setting;
      EXPECT_TRUE(same_bits(run.dx, input_gradient_by_law(s, dy.data(), w.data(), fused)))
          << name << " " << setting;
      EXPECT_TRUE(same_bits(run.dw, dw)) << name << " " << setting;
      EXPECT_TRUE(run.guards_are_whole) << name << " " << setting;
    }
  });
}

}  // namespace
}  // namespace batchwise::cpu

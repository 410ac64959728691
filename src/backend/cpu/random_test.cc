// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/random.h"

#include <gtest/gtest.h>

#include "backend/cpu/kernel_settings_test.h"
#include "tensor/counter_random.h"

namespace batchwise::cpu {
namespace {

TEST(Random, DropoutFollowsTheMask) {
  for (const std::int64_t per_sample : {1, 3, 16, 63, 64, 1000, 1024, 3001}) {
    for (const double ratio : {0.0, 0.1, 0.5, 0.9}) {
      Dropout args{.samples = 9, .per_sample = per_sample, .ratio = ratio};
      args.seed = 0x123456789abcdefull;
      args.step = 7;
      args.stream = 3;
      args.first_sample = 1000;
      const DropoutMask mask(ratio, args.seed, args.step, args.stream);
      const std::vector<float> x = random_floats(9 * per_sample, 1, 1.0f, 2.0f);
      for_each_kernel_setting([&](const std::string& name, bool, ThreadPool* pool) {
        GuardedOutput y(9 * per_sample);
        dropout(args, x.data(), y.data(), pool);
        const std::vector<float> result = y.take();
        const auto scale = static_cast<float>(1 / (1 - ratio));
        for (std::int64_t i = 0; i < 9 * per_sample; ++i) {
          const bool keeps = mask.keeps(1000 + i / per_sample, i % per_sample);
          const float expected = keeps ? x[static_cast<std::size_t>(i)] * scale : 0.0f;
          ASSERT_EQ(result[static_cast<std::size_t>(i)], expected) << name << " " << i;
        }
      });
    }
  }
}

TEST(Random, DropoutKeepsItsShareAndFollowsTheSampleNotItsPlace) {
  const std::int64_t per_sample = 5000;
  Dropout args{.samples = 4, .per_sample = per_sample, .ratio = 0.3};
  args.seed = 5;
  args.first_sample = 10;
  const std::vector<float> ones(20000, 1.0f);
  std::vector<float> whole(20000);
  dropout(args, ones.data(), whole.data(), nullptr);
  double kept = 0;
  for (const float y : whole) kept += y != 0 ? 1 : 0;
  EXPECT_NEAR(kept / 20000, 0.7, 0.015);

  Dropout one = args;
  one.samples = 1;
  one.first_sample = 12;
  std::vector<float> alone(5000);
  dropout(one, ones.data(), alone.data(), nullptr);
  EXPECT_TRUE(same_bits(alone, {whole.data() + 10000, whole.data() + 15000}));
  one.step = 1;
  std::vector<float> next_step(5000);
  dropout(one, ones.data(), next_step.data(), nullptr);
  EXPECT_FALSE(same_bits(alone, next_step));
}

}  // namespace
}  // namespace batchwise::cpu

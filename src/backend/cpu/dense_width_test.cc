// SPDX-License-Identifier: Apache-2.0
// Instruction sets and widths of vectors, 128-bit ones with fused multiply-add among them, so that
// any machine checks what holds between machines.
#include <gtest/gtest.h>

#include "backend/cpu/dense_law_test.h"
#include "backend/cpu/kernel_settings_test.h"

namespace batchwise::cpu {
namespace {

void check_forward(std::int64_t n, std::int64_t k, bool fused, ThreadPool& pool,
                   const std::string& setting) {
  const std::int64_t m = 19;
  GuardedFloats a(m * k), b(k * n);
  GuardedFloats packed(static_cast<std::int64_t>(packed_matrix_floats(k, n)));
  fill_random(a, 1);
  fill_random(b, 2);
  pack_matrix(b.data(), k, n, n, 1, packed.data(), pool);
  const auto expected = sum_by_law({m, n, k, a.data(), k, b.data()}, fused);
  for (std::int64_t rows : {std::int64_t{1}, std::int64_t{3}, m}) {
    GuardedFloats c(rows * n);
    GuardedFloats scratch(
        static_cast<std::int64_t>(dense_scratch_floats(rows, n, k, pool.threads())));
    dense_forward({rows, n, k, a.data(), k, packed.data(), c.data(), n, {}}, pool, scratch.data());
    ASSERT_EQ(std::memcmp(c.data(), expected.data(), sizeof(float) * c.size()), 0)
        << setting << " n " << n << " k " << k << " rows " << rows;
    ASSERT_TRUE(c.guards_are_whole());
  }
}

void check_gradient(std::int64_t m, std::int64_t n, bool fused, ThreadPool& pool,
                    const std::string& setting) {
  const std::int64_t k = 50;
  GuardedFloats x(m * k), dy(m * n), dw(k * n);
  fill_random(x, 1);
  fill_random(dy, 2);
  std::vector<float> expected(static_cast<std::size_t>(k * n), 0.5f);
  add_gradient_by_law(m, k, n, x.data(), dy.data(), expected.data(), fused);
  std::fill(dw.data(), dw.data() + dw.size(), 0.5f);
  GuardedFloats scratch(
      static_cast<std::int64_t>(weight_gradient_scratch_floats(m, k, n, pool.threads())));
  weight_gradient({m, k, n, x.data(), k, dy.data(), n, dw.data(), n, true}, pool, scratch.data());
  ASSERT_EQ(std::memcmp(dw.data(), expected.data(), sizeof(float) * dw.size()), 0)
      << setting << " m " << m << " n " << n;
  ASSERT_TRUE(dw.guards_are_whole() && scratch.guards_are_whole());
}

TEST(DenseWidth, ForwardBitsDoNotDependOnTheVectors) {
  for_each_kernel_setting([&](const std::string& setting, bool fused, ThreadPool* pool) {
    for (std::int64_t n : {1, 4, 10, 33, 64}) {
      for (std::int64_t k : {100, 784, 2048}) check_forward(n, k, fused, *pool, setting);
    }
  });
}

TEST(DenseWidth, GradientBitsDoNotDependOnTheVectors) {
  for_each_kernel_setting([&](const std::string& setting, bool fused, ThreadPool* pool) {
    for (std::int64_t m : {1, 3, 40}) {
      for (std::int64_t n : {1, 10, 33, 64}) check_gradient(m, n, fused, *pool, setting);
    }
  });
}

}  // namespace
}  // namespace batchwise::cpu

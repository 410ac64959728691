// SPDX-License-Identifier: Apache-2.0
// The same kernels with 128-bit and 256-bit vectors on every target: with fused multiply-add the
// width must not show, so that any machine checks what holds between machines.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/dense_width_test.cc"
#include <hwy/foreach_target.h>
// Behind foreach_target.h, which sets the target.
#include "backend/cpu/dense_forward-inl.h"
#include "backend/cpu/dense_gradient-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

void forward_128(const DenseJob& job, ThreadPool& pool, float* scratch) {
  dense_forward_with<hn::CappedTag<float, 4>>(job, pool, scratch);
}
void forward_256(const DenseJob& job, ThreadPool& pool, float* scratch) {
  dense_forward_with<hn::CappedTag<float, 8>>(job, pool, scratch);
}
void gradient_128(const WeightGradientJob& job, ThreadPool& pool, float* scratch) {
  weight_gradient_with<hn::CappedTag<float, 4>>(job, pool, scratch);
}
void gradient_256(const WeightGradientJob& job, ThreadPool& pool, float* scratch) {
  weight_gradient_with<hn::CappedTag<float, 8>>(job, pool, scratch);
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <gtest/gtest.h>

#include "backend/cpu/dense_law_test.h"

namespace batchwise::cpu {

HWY_EXPORT(forward_128);
HWY_EXPORT(forward_256);
HWY_EXPORT(gradient_128);
HWY_EXPORT(gradient_256);

namespace {

using Forward = void (*)(const DenseJob&, ThreadPool&, float*);
using Gradient = void (*)(const WeightGradientJob&, ThreadPool&, float*);

void run_forward_128(const DenseJob& job, ThreadPool& pool, float* scratch) {
  HWY_DYNAMIC_DISPATCH(forward_128)(job, pool, scratch);
}
void run_forward_256(const DenseJob& job, ThreadPool& pool, float* scratch) {
  HWY_DYNAMIC_DISPATCH(forward_256)(job, pool, scratch);
}
void run_gradient_128(const WeightGradientJob& job, ThreadPool& pool, float* scratch) {
  HWY_DYNAMIC_DISPATCH(gradient_128)(job, pool, scratch);
}
void run_gradient_256(const WeightGradientJob& job, ThreadPool& pool, float* scratch) {
  HWY_DYNAMIC_DISPATCH(gradient_256)(job, pool, scratch);
}

TEST(DenseWidth, ForwardBitsDoNotDependOnTheVectors) {
  ThreadPool pool(2);
  for (Isa isa : usable_isas()) {
    const IsaCap cap(isa);
    for (std::int64_t n : {1, 4, 10, 33, 64}) {
      for (std::int64_t k : {100, 784, 2048}) {
        const std::int64_t m = 19;
        GuardedFloats a(m * k), b(k * n);
        GuardedFloats packed(static_cast<std::int64_t>(packed_matrix_floats(k, n)));
        fill_random(a, 1);
        fill_random(b, 2);
        pack_matrix(b.data(), k, n, n, 1, packed.data(), pool);
        const auto expected = sum_by_law({m, n, k, a.data(), k, b.data()}, isa != Isa::kSse4);
        for (Forward forward : {&run_forward_128, &run_forward_256, &dense_forward}) {
          for (std::int64_t rows : {std::int64_t{1}, std::int64_t{3}, m}) {
            GuardedFloats c(rows * n);
            GuardedFloats scratch(static_cast<std::int64_t>(dense_scratch_floats(rows, n, k, 2)));
            DenseJob job{rows, n, k, a.data(), k, packed.data(), c.data(), n, {}};
            forward(job, pool, scratch.data());
            ASSERT_EQ(std::memcmp(c.data(), expected.data(), sizeof(float) * c.size()), 0)
                << isa_name(isa) << " n " << n << " k " << k << " rows " << rows;
            ASSERT_TRUE(c.guards_are_whole());
          }
        }
      }
    }
  }
}

TEST(DenseWidth, GradientBitsDoNotDependOnTheVectors) {
  ThreadPool pool(2);
  for (Isa isa : usable_isas()) {
    const IsaCap cap(isa);
    for (std::int64_t m : {1, 3, 40}) {
      for (std::int64_t n : {1, 10, 33, 64}) {
        const std::int64_t k = 50;
        GuardedFloats x(m * k), dy(m * n);
        fill_random(x, 1);
        fill_random(dy, 2);
        std::vector<float> expected(static_cast<std::size_t>(k * n), 0.5f);
        add_gradient_by_law(m, k, n, x.data(), dy.data(), expected.data(), isa != Isa::kSse4);
        for (Gradient gradient : {&run_gradient_128, &run_gradient_256, &weight_gradient}) {
          GuardedFloats dw(k * n);
          std::fill(dw.data(), dw.data() + dw.size(), 0.5f);
          GuardedFloats scratch(
              static_cast<std::int64_t>(weight_gradient_scratch_floats(m, k, n, 2)));
          gradient({m, k, n, x.data(), k, dy.data(), n, dw.data(), n, true}, pool, scratch.data());
          ASSERT_EQ(std::memcmp(dw.data(), expected.data(), sizeof(float) * dw.size()), 0)
              << isa_name(isa) << " m " << m << " n " << n;
          ASSERT_TRUE(dw.guards_are_whole() && scratch.guards_are_whole());
        }
      }
    }
  }
}

}  // namespace
}  // namespace batchwise::cpu
#endif  // HWY_ONCE

// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/conv_gradient.h"

#include <gtest/gtest.h>

#include "backend/cpu/conv_law_test.h"

namespace batchwise::cpu {
namespace {

TEST(ConvGradient, WeightGradientHasTheSameBitsHoweverTheBatchIsCut) {
  for (ConvShape s :
       {make_shape(13, 16, 5, 5, 40, 3, 3, 1, 1, {1, 1, 1, 1}),
        make_shape(13, 3, 9, 9, 20, 5, 5, 2, 1, {2, 2, 2, 2}),
        make_shape(13, 6, 20, 30, 18, 3, 3, 1, 1, {1, 1, 1, 1}), make_shape(13, 30, 4, 4, 18, 1, 1),
        make_shape(13, 20, 4, 5, 20, 3, 3, 1, 1, {1, 1, 1, 1}, 20)}) {
    const auto x = random_guarded(x_floats(s), 1);
    const auto dy = random_guarded(y_floats(s), 2);
    for (Isa isa : usable_isas()) {
      const IsaCap cap(isa);
      std::vector<float> expected(static_cast<std::size_t>(weight_floats(s)));
      add_weight_gradient_by_law(s, x.data(), dy.data(), expected.data(), has_fused_multiply_add());
      for (int threads : {1, 2, 4}) {
        ThreadPool pool(threads);
        for (std::int64_t piece : {1, 3, 8, 13}) {
          bool whole = true;
          const auto dw = run_weight_gradient(s, x.data(), dy.data(), piece, pool, nullptr, whole);
          EXPECT_TRUE(same_bits(dw, expected)) << isa_name(isa) << " pieces of " << piece;
          EXPECT_TRUE(whole);
        }
      }
    }
  }
}

TEST(ConvGradient, StartingFromZeroHasTheBitsOfAddingToZeros) {
  const ConvShape s = make_shape(2, 5, 30, 30, 7, 3, 3, 1, 1, {1, 1, 1, 1});
  const auto x = random_guarded(x_floats(s), 1);
  const auto dy = random_guarded(y_floats(s), 2);
  ThreadPool pool(2);
  const auto gradient = prepare_conv_weight_gradient(s);
  const auto floats = static_cast<std::int64_t>(conv_weight_gradient_floats(s));
  GuardedFloats scratch = byte_scratch(conv_weight_gradient_scratch_bytes(gradient, 2));
  auto stale = random_guarded(floats, 3);
  GuardedFloats zeros(floats);
  std::fill_n(zeros.data(), floats, 0.0f);
  run_conv_weight_gradient(gradient, x.data(), dy.data(), stale.data(), false, pool,
                           scratch.data());
  run_conv_weight_gradient(gradient, x.data(), dy.data(), zeros.data(), true, pool, scratch.data());
  EXPECT_TRUE(same_bits(copy_of(stale), copy_of(zeros)));
}

TEST(ConvGradient, PackingUndoesUnpacking) {
  ThreadPool pool(2);
  for (const auto& [name, s] : conv_cases()) {
    const auto weights = random_guarded(weight_floats(s), 1);
    GuardedFloats dw(static_cast<std::int64_t>(conv_weight_gradient_floats(s)));
    GuardedFloats again(weight_floats(s));
    pack_conv_weight_gradient(s, weights.data(), dw.data(), pool);
    unpack_conv_weight_gradient(s, dw.data(), again.data(), pool);
    EXPECT_TRUE(same_bits(copy_of(weights), copy_of(again))) << name;
    EXPECT_TRUE(dw.guards_are_whole() && again.guards_are_whole()) << name;
  }
}

TEST(ConvGradient, AnEmptyBatchLeavesZerosOrWhatLies) {
  ConvShape s = make_shape(0, 5, 4, 4, 7, 3, 3, 1, 1, {1, 1, 1, 1});
  ThreadPool pool(2);
  const auto gradient = prepare_conv_weight_gradient(s);
  GuardedFloats scratch = byte_scratch(conv_weight_gradient_scratch_bytes(gradient, 2));
  auto dw = random_guarded(static_cast<std::int64_t>(conv_weight_gradient_floats(s)), 3);
  const auto before = copy_of(dw);
  run_conv_weight_gradient(gradient, nullptr, nullptr, dw.data(), true, pool, scratch.data());
  EXPECT_TRUE(same_bits(copy_of(dw), before));
  run_conv_weight_gradient(gradient, nullptr, nullptr, dw.data(), false, pool, scratch.data());
  EXPECT_TRUE(same_bits(copy_of(dw), std::vector<float>(before.size(), 0.0f)));
}

TEST(ConvGradient, BiasGradientAddsSamplesInOrder) {
  const ConvShape s = make_shape(5, 3, 6, 7, 37, 1, 1);
  const auto dy = random_guarded(y_floats(s), 1);
  std::vector<float> expected(37, 0.5f);
  for (std::int64_t n = 0; n < s.batch; ++n) {
    for (std::int64_t c = 0; c < 37; ++c) {
      float sum = 0;
      for (std::int64_t p = 0; p < 42; ++p) sum += dy.data()[(n * 42 + p) * 37 + c];
      expected[static_cast<std::size_t>(c)] += sum;
    }
  }
  for (Isa isa : usable_isas()) {
    const IsaCap cap(isa);
    for (int threads : {1, 2, 4}) {
      ThreadPool pool(threads);
      GuardedFloats db(37);
      std::fill_n(db.data(), 37, 0.5f);
      ConvShape part = s;
      part.batch = 2;
      run_conv_bias_gradient(part, dy.data(), db.data(), true, pool);
      part.batch = 3;
      run_conv_bias_gradient(part, dy.data() + 2 * 42 * 37, db.data(), true, pool);
      EXPECT_TRUE(same_bits(copy_of(db), expected)) << isa_name(isa) << " " << threads;
      EXPECT_TRUE(db.guards_are_whole());
    }
  }
}

}  // namespace
}  // namespace batchwise::cpu

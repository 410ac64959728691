// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/conv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/cpu/conv_law_test.h"

namespace batchwise::cpu {
namespace {

void expect_close(const std::vector<float>& values, const std::vector<double>& exact,
                  const std::vector<double>& size, const std::string& what) {
  ASSERT_EQ(values.size(), exact.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_LE(std::abs(values[i] - exact[i]), 2e-6 * size[i] + 1e-30) << what << " at " << i;
  }
}

TEST(Conv, AgreesWithPlainLoopsInDouble) {
  ThreadPool pool(2);
  for (const auto& [name, s] : conv_cases()) {
    const auto x = random_guarded(x_floats(s), 1);
    const auto w = random_guarded(weight_floats(s), 2);
    const auto dy = random_guarded(y_floats(s), 3);
    const auto zeros = [](std::int64_t count) {
      return std::vector<double>(static_cast<std::size_t>(count));
    };
    auto y = zeros(y_floats(s)), dx = zeros(x_floats(s)), dw = zeros(weight_floats(s));
    auto y_size = y, dx_size = dx, dw_size = dw;
    for_each_product(s, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi, std::int64_t) {
      const auto add = [](double& sum, double& size, double a, double b) {
        sum += a * b;
        size += std::abs(a * b);
      };
      const auto i = static_cast<std::size_t>(xi);
      const auto j = static_cast<std::size_t>(wi);
      const auto k = static_cast<std::size_t>(yi);
      add(y[k], y_size[k], x.data()[xi], w.data()[wi]);
      add(dx[i], dx_size[i], dy.data()[yi], w.data()[wi]);
      add(dw[j], dw_size[j], x.data()[xi], dy.data()[yi]);
    });
    const ConvRun run = run_all(s, x.data(), w.data(), dy.data(), pool);
    expect_close(run.y, y, y_size, std::string(name) + ", forward");
    expect_close(run.dx, dx, dx_size, std::string(name) + ", input gradient");
    expect_close(run.dw, dw, dw_size, std::string(name) + ", weight gradient");
    EXPECT_TRUE(run.guards_are_whole) << name;
  }
}

TEST(Conv, HasTheBitsOfTheLawOnEveryInstructionSetAndThreadCount) {
  for (const auto& [name, s] : conv_cases()) {
    const auto x = random_guarded(x_floats(s), 4);
    const auto w = random_guarded(weight_floats(s), 5);
    const auto dy = random_guarded(y_floats(s), 6);
    for (Isa isa : usable_isas()) {
      const IsaCap cap(isa);
      const bool fused = has_fused_multiply_add();
      const auto y = forward_by_law(s, x.data(), w.data(), fused);
      const auto dx = input_gradient_by_law(s, dy.data(), w.data(), fused);
      std::vector<float> dw(static_cast<std::size_t>(weight_floats(s)));
      add_weight_gradient_by_law(s, x.data(), dy.data(), dw.data(), fused);
      for (int threads : {1, 2, 4}) {
        ThreadPool pool(threads);
        const ConvRun run = run_all(s, x.data(), w.data(), dy.data(), pool);
        const std::string what =
            std::string(name) + " " + std::string(isa_name(isa)) + " " + std::to_string(threads);
        EXPECT_TRUE(same_bits(run.y, y)) << what;
        EXPECT_TRUE(same_bits(run.dx, dx)) << what;
        EXPECT_TRUE(same_bits(run.dw, dw)) << what;
        EXPECT_TRUE(run.guards_are_whole) << what;
      }
    }
  }
}

// Every sample of every batch against the sample alone.
TEST(Conv, SamplesHaveTheBitsOfBatchOne) {
  ThreadPool pool(2);
  for (ConvShape s :
       {make_shape(33, 16, 5, 5, 40, 3, 3, 1, 1, {1, 1, 1, 1}),
        make_shape(33, 3, 9, 9, 20, 5, 5, 2, 1, {2, 2, 2, 2}), make_shape(33, 64, 3, 1, 64, 1, 1),
        make_shape(33, 20, 4, 5, 20, 3, 3, 1, 1, {1, 1, 1, 1}, 20)}) {
    const auto x = random_guarded(x_floats(s), 7);
    const auto w = random_guarded(weight_floats(s), 8);
    const auto dy = random_guarded(y_floats(s), 9);
    for (Isa isa : usable_isas()) {
      const IsaCap cap(isa);
      ConvShape one = s;
      one.batch = 1;
      std::vector<float> y, dx;
      for (std::int64_t n = 0; n < s.batch; ++n) {
        const ConvRun run = run_all(one, x.data() + n * x_floats(one), w.data(),
                                    dy.data() + n * y_floats(one), pool);
        y.insert(y.end(), run.y.begin(), run.y.end());
        dx.insert(dx.end(), run.dx.begin(), run.dx.end());
      }
      for (std::int64_t batch = 1; batch <= 33; ++batch) {
        ConvShape part = s;
        part.batch = batch;
        const ConvRun run = run_all(part, x.data(), w.data(), dy.data(), pool);
        EXPECT_EQ(std::memcmp(run.y.data(), y.data(), run.y.size() * sizeof(float)), 0) << batch;
        EXPECT_EQ(std::memcmp(run.dx.data(), dx.data(), run.dx.size() * sizeof(float)), 0) << batch;
      }
    }
  }
}

TEST(Conv, EpilogueAddsBiasAndResidualThenActivates) {
  ThreadPool pool(2);
  for (const ConvShape& s : {make_shape(2, 9, 5, 6, 21, 3, 3, 1, 1, {1, 1, 1, 1}),
                             make_shape(2, 21, 5, 6, 21, 3, 3, 1, 1, {1, 1, 1, 1}, 21)}) {
    const auto x = random_guarded(x_floats(s), 1);
    const auto w = random_guarded(weight_floats(s), 2);
    const auto bias = random_guarded(s.out_channels, 3);
    const auto residual = random_guarded(y_floats(s), 4);
    GuardedFloats packed(static_cast<std::int64_t>(packed_conv_floats(s)));
    pack_conv_forward(s, w.data(), packed.data(), &pool);
    const ConvPass pass = prepare_conv_forward(s);
    bool whole = true;
    const auto plain =
        run_pass(pass, x.data(), packed.data(), y_floats(s), {}, pool, nullptr, whole);
    for (Activation activation :
         {Activation::kNone, Activation::kRelu, Activation::kLeakyRelu, Activation::kClip}) {
      const Epilogue epilogue{bias.data(), residual.data(), s.out_channels, activation, 0.25f, 2.f};
      const auto y =
          run_pass(pass, x.data(), packed.data(), y_floats(s), epilogue, pool, nullptr, whole);
      for (std::size_t i = 0; i < y.size(); ++i) {
        const auto at = static_cast<std::int64_t>(i);
        float expected = plain[i] + bias.data()[at % s.out_channels];
        expected += residual.data()[at];
        if (activation == Activation::kRelu) expected = std::max(expected, 0.0f);
        if (activation == Activation::kLeakyRelu && expected < 0) expected *= 0.25f;
        if (activation == Activation::kClip) expected = std::clamp(expected, 0.25f, 2.0f);
        ASSERT_EQ(y[i], expected) << static_cast<int>(activation) << " at " << i;
      }
    }
    EXPECT_TRUE(whole);
  }
}

TEST(Conv, TablesDoNotGrowWithTheBatch) {
  const ConvShape small = make_shape(1, 64, 56, 56, 64, 3, 3, 1, 1, {1, 1, 1, 1});
  ConvShape large = small;
  large.batch = 512;
  EXPECT_EQ(prepare_conv_forward(small).table_bytes(), prepare_conv_forward(large).table_bytes());
  EXPECT_EQ(conv_scratch_bytes(prepare_conv_forward(small), 2),
            conv_scratch_bytes(prepare_conv_forward(large), 2));
}

}  // namespace
}  // namespace batchwise::cpu

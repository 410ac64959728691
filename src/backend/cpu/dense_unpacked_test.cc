// SPDX-License-Identifier: Apache-2.0
// Dense layers over weights that are not packed: the law of dense.h, in every setting.
#include <gtest/gtest.h>

#include "backend/cpu/dense_law_test.h"
#include "backend/cpu/kernel_settings_test.h"

namespace batchwise::cpu {
namespace {

// A layer of kMaxUnpackedRows rows whose B lies both ways.
struct UnpackedLayer {
  UnpackedLayer(std::int64_t columns, std::int64_t terms)
      : n(columns),
        k(terms),
        a_stride(terms + 3),
        a(kMaxUnpackedRows * a_stride, 1),
        b(std::max<std::int64_t>(terms * columns, 1), 3),
        transposed(std::max<std::int64_t>(terms * columns, 1), 5),
        bias(columns, 2),
        residual(kMaxUnpackedRows * columns, 3) {
    fill_random(a, 1);
    fill_random(b, 2);
    fill_random(bias, 3);
    fill_random(residual, 4);
    for (std::int64_t i = 0; i < k; ++i) {
      for (std::int64_t j = 0; j < n; ++j) transposed[j * k + i] = b[i * n + j];
    }
  }

  DenseJob job(std::int64_t rows, bool is_transposed, float* c, std::int64_t c_stride) const {
    DenseJob job{.m = rows, .n = n, .k = k, .a = a.data(), .a_stride = a_stride};
    job.c = c;
    job.c_stride = c_stride;
    job.b = is_transposed ? transposed.data() : b.data();
    job.transposed_b = is_transposed;
    return job;
  }

  std::vector<float> sums(bool fused) const {
    return sum_by_law({kMaxUnpackedRows, n, k, a.data(), a_stride, b.data()}, fused);
  }

  std::int64_t n, k, a_stride;
  GuardedFloats a, b, transposed, bias, residual;
};

void expect_rows(const UnpackedLayer& layer, const std::vector<float>& expected, std::int64_t rows,
                 bool transposed, ThreadPool& pool, const std::string& setting) {
  const std::int64_t c_stride = layer.n + 5;
  GuardedFloats c((rows - 1) * c_stride + layer.n, 5);
  for (std::int64_t i = 0; i < c.size(); ++i) c[i] = GuardedFloats::kSentinel;
  dense_forward_unpacked(layer.job(rows, transposed, c.data(), c_stride), pool);
  for (std::int64_t i = 0; i < c.size(); ++i) {
    const std::int64_t row = i / c_stride, column = i % c_stride;
    const float value =
        column < layer.n ? expected[row * layer.n + column] : GuardedFloats::kSentinel;
    ASSERT_EQ(std::memcmp(&c[i], &value, sizeof value), 0)
        << setting << (transposed ? " transposed" : "") << " n " << layer.n << " k " << layer.k
        << " rows " << rows << ": row " << row << " column " << column;
  }
  ASSERT_TRUE(c.guards_are_whole());
}

TEST(DenseUnpacked, EveryRowHasTheBitsOfTheLaw) {
  struct Sizes {
    std::int64_t n, k;
  };
  for (const Sizes& size :
       {Sizes{16, 1}, Sizes{17, 7}, Sizes{31, 256}, Sizes{33, 255}, Sizes{48, 257}, Sizes{64, 0},
        Sizes{100, 784}, Sizes{130, 1024}, Sizes{300, 40}, Sizes{2100, 530}}) {
    const UnpackedLayer layer(size.n, size.k);
    for_each_kernel_setting([&](const std::string& setting, bool fused, ThreadPool* pool) {
      const std::vector<float> expected = layer.sums(fused);
      for (std::int64_t rows = 1; rows <= kMaxUnpackedRows; ++rows) {
        ASSERT_TRUE(dense_takes_unpacked(rows, size.n));
        expect_rows(layer, expected, rows, false, *pool, setting);
        expect_rows(layer, expected, rows, true, *pool, setting);
      }
    });
  }
}

TEST(DenseUnpacked, AddsBiasAndResidualBeforeTheActivation) {
  const UnpackedLayer layer(53, 300);
  for_each_kernel_setting([&](const std::string& setting, bool fused, ThreadPool* pool) {
    const std::vector<float> sums = layer.sums(fused);
    for (const bool transposed : {false, true}) {
      GuardedFloats c(kMaxUnpackedRows * layer.n);
      DenseJob job = layer.job(kMaxUnpackedRows, transposed, c.data(), layer.n);
      job.epilogue.bias = layer.bias.data();
      job.epilogue.residual = layer.residual.data();
      job.epilogue.residual_stride = layer.n;
      job.epilogue.activation = Activation::kRelu;
      dense_forward_unpacked(job, *pool);
      for (std::int64_t i = 0; i < c.size(); ++i) {
        const float x = sums[static_cast<std::size_t>(i)] + layer.bias.data()[i % layer.n] +
                        layer.residual.data()[i];
        ASSERT_EQ(c[i], x < 0 ? 0.0f : x) << setting << " element " << i;
      }
      ASSERT_TRUE(c.guards_are_whole());
    }
  });
}

TEST(DenseUnpacked, LeavesManyRowsAndFewColumnsToThePackedForm) {
  EXPECT_FALSE(dense_takes_unpacked(kMaxUnpackedRows + 1, 1024));
  EXPECT_FALSE(dense_takes_unpacked(1, 10));
}

}  // namespace
}  // namespace batchwise::cpu

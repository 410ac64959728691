// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/dense.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "backend/cpu/dense_law_test.h"

namespace batchwise::cpu {
namespace {

struct Shape {
  std::int64_t rows, n, k;
};

// Inputs of a dense layer and the sums that the law gives for all of its rows.
class Layer {
 public:
  explicit Layer(const Shape& shape)
      : shape_(shape),
        a_stride(shape.k + 3),
        a(shape.rows * a_stride, 1),
        b(std::max<std::int64_t>(shape.k * shape.n, 1)),
        bias(shape.n, 2),
        residual(shape.rows * shape.n, 3),
        packed(static_cast<std::int64_t>(packed_matrix_floats(shape.k, shape.n))) {
    fill_random(a, 1);
    fill_random(b, 2);
    fill_random(bias, 3);
    fill_random(residual, 4);
    ThreadPool pool(1);
    pack_matrix(b.data(), shape.k, shape.n, shape.n, 1, packed.data(), pool);
    EXPECT_TRUE(packed.guards_are_whole());
  }

  std::vector<float> sums(bool fused) const {
    return sum_by_law({shape_.rows, shape_.n, shape_.k, a.data(), a_stride, b.data()}, fused);
  }

  DenseJob job(std::int64_t row, std::int64_t rows, float* c, std::int64_t c_stride) const {
    DenseJob job;
    job.m = rows;
    job.n = shape_.n;
    job.k = shape_.k;
    job.a = a.data() + row * a_stride;
    job.a_stride = a_stride;
    job.packed_b = packed.data();
    job.c = c;
    job.c_stride = c_stride;
    return job;
  }

 private:
  Shape shape_;

 public:
  std::int64_t a_stride;
  GuardedFloats a, b, bias, residual, packed;
};

void forward(const DenseJob& job, int threads) {
  GuardedFloats scratch(
      static_cast<std::int64_t>(dense_scratch_floats(job.m, job.n, job.k, threads)));
  dense_forward(job, pool_with(threads), scratch.data());
  ASSERT_TRUE(scratch.guards_are_whole());
}

bool same_bits(const float* a, const float* b, std::int64_t count) {
  return std::memcmp(a, b, static_cast<std::size_t>(count) * sizeof(float)) == 0;
}

// Runs rows [row, row + rows) and compares them with those of the law.
void expect_rows(const Layer& layer, const Shape& shape, const std::vector<float>& expected,
                 std::int64_t row, std::int64_t rows, int threads) {
  const std::int64_t c_stride = shape.n + 5;
  GuardedFloats c((rows - 1) * c_stride + shape.n, 5);
  for (std::int64_t i = 0; i < c.size(); ++i) c[i] = GuardedFloats::kSentinel;
  forward(layer.job(row, rows, c.data(), c_stride), threads);
  for (std::int64_t r = 0; r < rows; ++r) {
    ASSERT_TRUE(same_bits(c.data() + r * c_stride, &expected[(row + r) * shape.n], shape.n))
        << isa_name(current_isa()) << " k " << shape.k << " n " << shape.n << " rows " << rows
        << " threads " << threads << ": row " << r;
    for (std::int64_t i = shape.n; i < c_stride && r + 1 < rows; ++i) {
      ASSERT_EQ(c[r * c_stride + i], GuardedFloats::kSentinel) << "written between rows";
    }
  }
  ASSERT_TRUE(c.guards_are_whole());
}

constexpr std::int64_t kRowCounts[] = {1,  2,  3,  4,  5,  6,  7,  8,   13,  14,  15,
                                       16, 17, 28, 33, 64, 65, 96, 100, 193, 400, 512};

class DenseForward : public testing::TestWithParam<Shape> {};

TEST_P(DenseForward, EveryRowHasTheBitsOfTheLawAtEveryNumberOfRowsAndThreads) {
  const Shape shape = GetParam();
  const Layer layer(shape);
  for (Isa isa : usable_isas()) {
    const IsaCap cap(isa);
    const std::vector<float> expected = layer.sums(has_fused_multiply_add());
    for (std::int64_t rows : kRowCounts) {
      if (rows > shape.rows) break;
      for (int threads : {1, 2, 4}) {
        const std::int64_t last = shape.rows - rows;
        for (std::int64_t row : {std::int64_t{0}, last / 2, last}) {
          expect_rows(layer, shape, expected, row, rows, threads);
          if (HasFatalFailure()) return;
          if (shape.k * shape.n * rows > 1000000 || last == 0) break;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, DenseForward,
    testing::Values(Shape{100, 512, 784}, Shape{100, 33, 784}, Shape{512, 10, 512},
                    Shape{512, 32, 128}, Shape{512, 1, 300}, Shape{512, 2, 300}, Shape{100, 3, 515},
                    Shape{65, 12, 255}, Shape{65, 13, 256}, Shape{65, 16, 257}, Shape{65, 17, 513},
                    Shape{33, 48, 1000}, Shape{100, 10, 2048}, Shape{65, 1, 4096},
                    Shape{65, 2, 4096}, Shape{33, 33, 4096}, Shape{28, 1, 25088},
                    Shape{28, 10, 25088}, Shape{17, 33, 25088}, Shape{400, 100, 70},
                    Shape{512, 8, 16}, Shape{100, 1, 1}, Shape{100, 130, 1}, Shape{33, 5, 7},
                    Shape{17, 1100, 1000}),
    [](const auto& test) { return fmt::format("n{}k{}", test.param.n, test.param.k); });

float activate_by_law(float x, const Epilogue& epilogue) {
  switch (epilogue.activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return x < 0 ? 0.0f : x;
    case Activation::kLeakyRelu:
      return x < 0 ? x * epilogue.alpha : x;
    case Activation::kClip:
      return std::fmin(std::fmax(x, epilogue.alpha), epilogue.beta);
  }
  return x;
}

class DenseEpilogue : public testing::TestWithParam<Activation> {};

TEST_P(DenseEpilogue, BiasThenResidualThenActivation) {
  for (const Shape& shape : {Shape{37, 50, 300}, Shape{37, 7, 300}, Shape{37, 3, 300}}) {
    Layer layer(shape);
    for (Isa isa : usable_isas()) {
      const IsaCap cap(isa);
      const std::vector<float> sums = layer.sums(has_fused_multiply_add());
      for (bool with_bias : {false, true}) {
        for (bool with_residual : {false, true}) {
          Epilogue epilogue;
          epilogue.activation = GetParam();
          epilogue.alpha = GetParam() == Activation::kClip ? -20.5f : 0.125f;
          epilogue.beta = 31.25f;
          if (with_bias) epilogue.bias = layer.bias.data();
          GuardedFloats c(shape.rows * shape.n);
          if (with_residual) {  // in place
            std::copy(layer.residual.data(), layer.residual.data() + c.size(), c.data());
            epilogue.residual = c.data();
            epilogue.residual_stride = shape.n;
          }
          DenseJob job = layer.job(0, shape.rows, c.data(), shape.n);
          job.epilogue = epilogue;
          forward(job, 2);
          for (std::int64_t i = 0; i < c.size(); ++i) {
            float x = sums[static_cast<std::size_t>(i)];
            if (with_bias) x += layer.bias[i % shape.n];
            if (with_residual) x += layer.residual[i];
            ASSERT_EQ(c[i], activate_by_law(x, epilogue)) << "element " << i;
          }
          ASSERT_TRUE(c.guards_are_whole());
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Activations, DenseEpilogue,
                         testing::Values(Activation::kNone, Activation::kRelu,
                                         Activation::kLeakyRelu, Activation::kClip),
                         [](const auto& test) {
                           return fmt::format("{}", static_cast<int>(test.param));
                         });

TEST(DenseForwardEdges, WithoutTermsTheResultIsTheBias) {
  for (Isa isa : usable_isas()) {
    const IsaCap cap(isa);
    for (std::int64_t n : {1, 10, 40}) {
      const Shape shape{20, n, 0};
      Layer layer(shape);
      GuardedFloats c(shape.rows * n);
      DenseJob job = layer.job(0, shape.rows, c.data(), n);
      job.epilogue.bias = layer.bias.data();
      forward(job, 1);
      for (std::int64_t i = 0; i < c.size(); ++i) ASSERT_EQ(c[i], layer.bias[i % n]);
      ASSERT_TRUE(c.guards_are_whole());
    }
  }
}

TEST(DenseForwardEdges, ANanReachesItsRowThroughARelu) {
  for (Isa isa : usable_isas()) {
    const IsaCap cap(isa);
    for (std::int64_t n : {3, 20}) {
      const Shape shape{9, n, 40};
      Layer layer(shape);
      layer.a[4 * layer.a_stride + 7] = std::nanf("");
      GuardedFloats c(shape.rows * n);
      DenseJob job = layer.job(0, shape.rows, c.data(), n);
      job.epilogue.activation = Activation::kRelu;
      forward(job, 1);
      for (std::int64_t i = 0; i < c.size(); ++i) {
        ASSERT_EQ(std::isnan(c[i]), i / n == 4) << "row " << i / n;
      }
    }
  }
}

TEST(DenseForwardEdges, IsCloseToDoublePrecision) {
  const Shape shape{6, 24, 4096};
  Layer layer(shape);
  for (Isa isa : usable_isas()) {
    const IsaCap cap(isa);
    GuardedFloats c(shape.rows * shape.n);
    forward(layer.job(0, shape.rows, c.data(), shape.n), 1);
    for (std::int64_t m = 0; m < shape.rows; ++m) {
      for (std::int64_t n = 0; n < shape.n; ++n) {
        double sum = 0, size = 0;
        for (std::int64_t k = 0; k < shape.k; ++k) {
          const double term = static_cast<double>(layer.a[m * layer.a_stride + k]) *
                              static_cast<double>(layer.b[k * shape.n + n]);
          sum += term;
          size += std::fabs(term);
        }
        ASSERT_NEAR(c[m * shape.n + n], sum, 2e-6 * size);
      }
    }
  }
}

TEST(DensePack, StridesOfATransposedMatrixGiveTheSamePanels) {
  for (std::int64_t k : {1, 15, 16, 100}) {
    for (std::int64_t n : {1, 16, 17, 50}) {
      GuardedFloats rows(k * n), columns(k * n);
      fill_random(rows, 5);
      for (std::int64_t i = 0; i < k; ++i) {
        for (std::int64_t j = 0; j < n; ++j) columns[j * k + i] = rows[i * n + j];
      }
      const auto floats = static_cast<std::int64_t>(packed_matrix_floats(k, n));
      GuardedFloats from_rows(floats), from_columns(floats);
      ThreadPool one(1), three(3);
      pack_matrix(rows.data(), k, n, n, 1, from_rows.data(), one);
      pack_matrix(columns.data(), k, n, 1, k, from_columns.data(), three);
      ASSERT_TRUE(same_bits(from_rows.data(), from_columns.data(), floats));
      for (std::int64_t i = 0; i < floats; ++i) {
        const std::int64_t column = i / (16 * k) * 16 + i % 16;
        ASSERT_EQ(from_rows[i], column < n ? rows[i / 16 % k * n + column] : 0.0f);
      }
      ASSERT_TRUE(from_rows.guards_are_whole() && from_columns.guards_are_whole());
    }
  }
}

TEST(Isa, ACapLowersWhatIsUsedAndMayBeLifted) {
  for (Isa isa : usable_isas()) {
    const IsaCap cap(isa);
    EXPECT_EQ(current_isa(), isa);
  }
  EXPECT_EQ(current_isa(), detect_isa());
}

}  // namespace
}  // namespace batchwise::cpu

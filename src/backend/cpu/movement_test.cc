// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/movement.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "backend/cpu/kernel_settings_test.h"

namespace batchwise::cpu {
namespace {

using Shape = std::vector<std::int64_t>;

std::int64_t elements(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

Shape index_of(const Shape& shape, std::int64_t at) {
  Shape index(shape.size());
  for (std::size_t k = shape.size(); k-- > 0;) {
    index[k] = at % shape[k];
    at /= shape[k];
  }
  return index;
}

std::int64_t place_of(const Shape& shape, const Shape& index) {
  std::int64_t place = 0;
  for (std::size_t k = 0; k < shape.size(); ++k) place = place * shape[k] + index[k];
  return place;
}

template <class T>
std::vector<T> counted(std::int64_t count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(i * 2654435761u >> 3);
  return values;
}

template <class T>
void check_transpose(const Shape& shape, const std::vector<int>& permutation, ThreadPool* pool) {
  Shape turned;
  for (const int axis : permutation) turned.push_back(shape[static_cast<std::size_t>(axis)]);
  const std::vector<T> x = counted<T>(elements(shape));
  std::vector<T> y(x.size() + 2, T{42});
  strided_copy(plan_transpose(shape, permutation), sizeof(T), x.data(), y.data() + 1, pool);
  EXPECT_EQ(y.front(), T{42});
  EXPECT_EQ(y.back(), T{42});
  for (std::int64_t i = 0; i < elements(shape); ++i) {
    const Shape to = index_of(turned, i);
    Shape from(shape.size());
    for (std::size_t k = 0; k < to.size(); ++k) {
      from[static_cast<std::size_t>(permutation[k])] = to[k];
    }
    ASSERT_EQ(y[static_cast<std::size_t>(i + 1)],
              x[static_cast<std::size_t>(place_of(shape, from))]);
  }
}

TEST(Movement, TransposesEveryPermutation) {
  ThreadPool pool(3);
  for (const Shape& shape : {Shape{5, 7}, Shape{2, 3, 4}, Shape{2, 33, 4, 18}, Shape{2, 3, 1, 4, 5},
                             Shape{130, 257}, Shape{3, 70, 50}}) {
    std::vector<int> permutation(shape.size());
    std::iota(permutation.begin(), permutation.end(), 0);
    do {
      check_transpose<std::uint32_t>(shape, permutation, &pool);
      check_transpose<std::uint8_t>(shape, permutation, nullptr);
      check_transpose<std::uint16_t>(shape, permutation, nullptr);
      check_transpose<std::uint64_t>(shape, permutation, nullptr);
    } while (std::next_permutation(permutation.begin(), permutation.end()));
  }
  check_transpose<std::uint32_t>({2, 3, 2, 3, 2, 3, 2, 3}, {7, 5, 3, 1, 0, 2, 4, 6}, &pool);
}

TEST(Movement, SlicesWithAnyStepAndPutsSlicesBack) {
  const Shape shape = {6, 9, 11}, starts = {5, 0, 10}, steps = {-2, 3, -1}, counts = {3, 3, 7};
  const std::vector<float> x = random_floats(elements(shape), 1);
  std::vector<float> y(static_cast<std::size_t>(elements(counts)));
  strided_copy(plan_slice(shape, starts, steps, counts), 4, x.data(), y.data(), nullptr);
  std::vector<float> whole(x.size(), -7.0f), expected(x.size(), -7.0f);
  strided_copy(plan_unslice(shape, starts, steps, counts), 4, y.data(), whole.data(), nullptr);
  for (std::int64_t i = 0; i < elements(counts); ++i) {
    Shape index = index_of(counts, i);
    for (std::size_t k = 0; k < 3; ++k) index[k] = starts[k] + index[k] * steps[k];
    const auto at = static_cast<std::size_t>(place_of(shape, index));
    ASSERT_EQ(y[static_cast<std::size_t>(i)], x[at]);
    expected[at] = x[at];
  }
  EXPECT_EQ(whole, expected);
}

TEST(Movement, StrideZeroRepeats) {
  const std::vector<float> x = {1, 2, 3};
  std::vector<float> y(6);
  const Shape sizes = {2, 3}, from = {0, 1}, to = {3, 1};
  strided_copy(plan_strided_copy(sizes, from, to), 4, x.data(), y.data(), nullptr);
  EXPECT_EQ(y, (std::vector<float>{1, 2, 3, 1, 2, 3}));
  const Shape nothing = {0, 3};
  strided_copy(plan_strided_copy(nothing, from, to), 4, nullptr, nullptr, nullptr);
}

TEST(Movement, BlocksConcatAndSplit) {
  ThreadPool pool(2);
  for (const std::int64_t bytes : {1, 3, 4, 8, 100, 3000}) {
    const std::int64_t rows = 40, stride = bytes + 11;
    const auto x = counted<std::uint8_t>(rows * bytes);
    std::vector<std::uint8_t> wide(static_cast<std::size_t>(rows * stride), 255), back(x.size());
    copy_blocks(rows, bytes, x.data(), bytes, wide.data() + 5, stride, &pool);
    for (std::int64_t i = 0; i < rows * stride; ++i) {
      const std::int64_t k = i % stride - 5;
      const bool is_copied = k >= 0 && k < bytes;
      ASSERT_EQ(wide[static_cast<std::size_t>(i)],
                is_copied ? x[static_cast<std::size_t>(i / stride * bytes + k)] : 255);
    }
    copy_blocks(rows, bytes, wide.data() + 5, stride, back.data(), bytes, &pool);
    EXPECT_EQ(back, x);
  }
}

TEST(Movement, GathersAndAddsBackInOrder) {
  const Gather shape{3, 5, 7};
  const std::int64_t inner = 20;
  const std::vector<std::int64_t> indices = {0, 4, -1, 2, 2, -5, 4};
  const std::vector<std::int32_t> narrow(indices.begin(), indices.end());
  const std::vector<float> x = random_floats(3 * 5 * inner, 2);
  std::vector<float> y(3 * 7 * 20), y32(y.size());
  EXPECT_EQ(gather(shape, inner * 4, indices.data(), x.data(), y.data(), nullptr), -1);
  EXPECT_EQ(gather(shape, inner * 4, narrow.data(), x.data(), y32.data(), nullptr), -1);
  EXPECT_EQ(y, y32);
  std::vector<float> expected(x.size(), 0.5f);
  for (std::size_t o = 0; o < 3; ++o) {
    for (std::size_t i = 0; i < 7; ++i) {
      const auto entry = static_cast<std::size_t>((indices[i] + 5) % 5);
      for (std::size_t c = 0; c < 20; ++c) {
        ASSERT_EQ(y[(o * 7 + i) * 20 + c], x[(o * 5 + entry) * 20 + c]);
        expected[(o * 5 + entry) * 20 + c] += y[(o * 7 + i) * 20 + c];
      }
    }
  }
  std::vector<float> dx(x.size(), 0.5f);
  EXPECT_EQ(gather_grad(shape, inner, indices.data(), y.data(), true, dx.data(), nullptr), -1);
  EXPECT_EQ(dx, expected);
  gather_grad(shape, inner, narrow.data(), y.data(), false, dx.data(), nullptr);
  for (std::size_t i = 0; i < dx.size(); ++i) ASSERT_NEAR(dx[i], expected[i] - 0.5f, 1e-6);
}

TEST(Movement, GatherNamesTheFirstBadIndexAndWritesNothing) {
  const std::vector<float> x = {1, 2, 3};
  for (const std::int64_t bad : {3, -4}) {
    const std::vector<std::int64_t> indices = {0, bad, 99};
    std::vector<float> y(3, 8.0f);
    EXPECT_EQ(gather({1, 3, 3}, 4, indices.data(), x.data(), y.data(), nullptr), 1);
    EXPECT_EQ(gather_grad({1, 3, 3}, 1, indices.data(), x.data(), false, y.data(), nullptr), 1);
    EXPECT_EQ(y, std::vector<float>(3, 8.0f));
  }
}

template <class To, class From>
std::vector<To> cast_to(DType from, DType to, const std::vector<From>& x) {
  std::vector<To> y(x.size());
  cast(from, x.data(), to, y.data(), static_cast<std::int64_t>(x.size()), nullptr);
  return y;
}

TEST(Movement, CastsClampFloatsAndWrapIntegers) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {0.0f,  -0.5f,  1.9f, -1.9f, 300.0f,       1e10f,
                                1e30f, -1e30f, inf,  -inf,  std::nanf("")};
  constexpr auto kMax32 = std::numeric_limits<std::int32_t>::max();
  constexpr auto kMin32 = std::numeric_limits<std::int32_t>::min();
  constexpr auto kMax64 = std::numeric_limits<std::int64_t>::max();
  constexpr auto kMin64 = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(
      cast_to<std::int32_t>(DType::kFloat32, DType::kInt32, x),
      (std::vector<std::int32_t>{0, 0, 1, -1, 300, kMax32, kMax32, kMin32, kMax32, kMin32, 0}));
  EXPECT_EQ(cast_to<std::int64_t>(DType::kFloat32, DType::kInt64, x),
            (std::vector<std::int64_t>{0, 0, 1, -1, 300, 10000000000, kMax64, kMin64, kMax64,
                                       kMin64, 0}));
  EXPECT_EQ(cast_to<std::uint8_t>(DType::kFloat32, DType::kUInt8, x),
            (std::vector<std::uint8_t>{0, 0, 1, 0, 255, 255, 255, 0, 255, 0, 0}));
  const auto truth = cast_to<std::uint8_t>(DType::kFloat32, DType::kBool, x);
  EXPECT_EQ(truth, (std::vector<std::uint8_t>{0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}));
  const std::vector<std::int64_t> integers = {0, -1, 256 + 7, 1ll << 40};
  EXPECT_EQ(cast_to<std::uint8_t>(DType::kInt64, DType::kUInt8, integers),
            (std::vector<std::uint8_t>{0, 255, 7, 0}));
  EXPECT_EQ(cast_to<double>(DType::kInt64, DType::kFloat64, integers),
            (std::vector<double>{0, -1, 263, 1099511627776.0}));
  EXPECT_FALSE(can_cast(DType::kString, DType::kFloat32));
}

}  // namespace
}  // namespace batchwise::cpu

// SPDX-License-Identifier: Apache-2.0
#include "metrics/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "data/output_writer.h"
#include "data/test_folder.h"

namespace batchwise {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kTiny = std::numeric_limits<float>::denorm_min();

TEST(UlpDistance, CountsStepsBetweenFloats) {
  EXPECT_EQ(ulp_distance(1.0f, 1.0f), 0u);
  EXPECT_EQ(ulp_distance(1.0f, std::nextafter(1.0f, 2.0f)), 1u);
  EXPECT_EQ(ulp_distance(std::nextafter(1.0f, 0.0f), std::nextafter(1.0f, 2.0f)), 2u);
  EXPECT_EQ(ulp_distance(1.0f, 2.0f), 1u << 23);
  EXPECT_EQ(ulp_distance(-1.0f, -2.0f), 1u << 23);
  EXPECT_EQ(ulp_distance(0.0f, -0.0f), 0u);
  EXPECT_EQ(ulp_distance(kTiny, -kTiny), 2u);
  EXPECT_EQ(ulp_distance(0.0f, -kTiny), 1u);
  EXPECT_EQ(ulp_distance(std::numeric_limits<float>::max(), kInfinity), 1u);
  EXPECT_EQ(ulp_distance(kInfinity, kInfinity), 0u);
  EXPECT_EQ(ulp_distance(kInfinity, -kInfinity), 2u * 0x7F800000u);
  EXPECT_EQ(ulp_distance(kNan, kNan), 0u);
  EXPECT_EQ(ulp_distance(kNan, 1.0f), kNanUlp);
  EXPECT_EQ(ulp_distance(-kInfinity, kNan), kNanUlp);
}

TEST(ClassOf, IsTheFirstLargest) {
  const auto of = [](std::vector<float> row) { return class_of(row); };
  EXPECT_EQ(of({1, 3, 2}), 1);
  EXPECT_EQ(of({3, 3, 2}), 0);
  EXPECT_EQ(of({-5}), 0);
  EXPECT_EQ(of({-kInfinity, -2}), 1);
  EXPECT_EQ(of({1, kNan, kInfinity, kNan}), 1);
  EXPECT_EQ(of({kNan, 5}), 0);
}

TEST(OutputComparator, FindsNothingInEqualBits) {
  OutputComparator comparator({{2, DType::kFloat32}});
  const std::vector<float> rows{1, kNan, kInfinity, -0.0f};
  comparator.add(rows, rows);
  const Comparison& result = comparator.result();
  EXPECT_EQ(result.samples, 2);
  EXPECT_EQ(result.differing_samples, 0);
  EXPECT_EQ(result.max_ulp, 0u);
  EXPECT_EQ(result.max_abs_error, 0);
}

TEST(OutputComparator, AddsUpOverCalls) {
  OutputComparator comparator({{3, DType::kFloat32}});
  comparator.add(std::vector<float>{1, 2, 3, 4, 5, 6}, std::vector<float>{1, 2, 3, 4, 5, 6});
  // The class moves from 2 to 1; two values differ.
  comparator.add(std::vector<float>{1, 2, 4}, std::vector<float>{1, 4, 2});
  // One value differs by a step; the class stays.
  const float next = std::nextafter(8.0f, 9.0f);
  comparator.add(std::vector<float>{8, 0, 0}, std::vector<float>{next, 0, 0});
  const Comparison& result = comparator.result();
  EXPECT_EQ(result.samples, 4);
  EXPECT_EQ(result.differing_samples, 2);
  EXPECT_EQ(result.differing_values, 3);
  EXPECT_EQ(result.max_abs_error, 2);
  EXPECT_EQ(result.max_rel_error, 0.5);
  EXPECT_EQ(result.max_ulp, 1u << 23);
  EXPECT_EQ(result.changed_classes, 1);
}

TEST(OutputComparator, TellsSignsOfZeroApartWithoutAnError) {
  OutputComparator comparator({{1, DType::kFloat32}});
  comparator.add(std::vector<float>{0.0f}, std::vector<float>{-0.0f});
  EXPECT_EQ(comparator.result().differing_samples, 1);
  EXPECT_EQ(comparator.result().max_abs_error, 0);
  EXPECT_EQ(comparator.result().max_rel_error, 0);
  EXPECT_EQ(comparator.result().max_ulp, 0u);
  EXPECT_EQ(comparator.result().changed_classes, 0);
}

TEST(OutputComparator, CountsNanAndInfinityAsInfinitelyFar) {
  OutputComparator comparator({{2, DType::kFloat32}});
  comparator.add(std::vector<float>{1, 2}, std::vector<float>{kNan, 2});
  EXPECT_EQ(comparator.result().max_abs_error, kInfinity);
  EXPECT_EQ(comparator.result().max_ulp, kNanUlp);
  EXPECT_EQ(comparator.result().changed_classes, 1);
  OutputComparator other({{1, DType::kFloat32}});
  other.add(std::vector<float>{kInfinity}, std::vector<float>{std::numeric_limits<float>::max()});
  EXPECT_EQ(other.result().max_rel_error, kInfinity);
  EXPECT_EQ(other.result().max_ulp, 1u);
}

TEST(OutputComparator, CountsASampleOnceWhateverOutputsDiffer) {
  OutputComparator comparator({{1, DType::kInt64}, {2, DType::kFloat32}});
  const std::vector<std::int64_t> ints_a{-7, 3}, ints_b{5, 3};
  const std::vector<float> floats_a{0, 1, 2, 3}, floats_b{1, 0, 2, 3};
  const std::vector<const std::byte*> a{std::as_bytes(std::span(ints_a)).data(),
                                        std::as_bytes(std::span(floats_a)).data()};
  const std::vector<const std::byte*> b{std::as_bytes(std::span(ints_b)).data(),
                                        std::as_bytes(std::span(floats_b)).data()};
  comparator.add(a, b, 2);
  EXPECT_EQ(comparator.result().samples, 2);
  EXPECT_EQ(comparator.result().differing_samples, 1);
  EXPECT_EQ(comparator.result().differing_values, 3);
  EXPECT_EQ(comparator.result().max_abs_error, 12);
  // 0 and 1 lie 0x3F800000 floats apart, far more than the integers' 12.
  EXPECT_EQ(comparator.result().max_ulp, 0x3F800000u);
  EXPECT_EQ(comparator.result().changed_classes, 0) << "classes are those of the first output";
}

void write_outputs(const std::string& path, const std::vector<float>& values, std::int64_t rows) {
  const auto columns = static_cast<std::int64_t>(values.size()) / rows;
  auto writer = open_output(path, {{"y", Shape{columns}, DType::kFloat32}}, rows);
  const std::byte* data = std::as_bytes(std::span(values)).data();
  writer->append(std::span(&data, 1), rows);
  writer->finish();
}

TEST(CompareFiles, ReadsAllFormats) {
  const TestFolder folder;
  std::vector<float> values(3000 * 100);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 977) / 3;
  write_outputs(folder / "a.npy", values, 3000);
  write_outputs(folder / "a.csv", values, 3000);
  values[2999 * 100 + 5] += 1000;  // in the last sample, beyond one buffer
  write_outputs(folder / "b.npz", values, 3000);
  EXPECT_EQ(compare_files(folder / "a.npy", folder / "a.csv").differing_samples, 0);
  const Comparison result = compare_files(folder / "a.npy", folder / "b.npz");
  EXPECT_EQ(result.samples, 3000);
  EXPECT_EQ(result.differing_samples, 1);
  EXPECT_EQ(result.differing_values, 1);
  EXPECT_NEAR(result.max_abs_error, 1000, 0.001);
  EXPECT_EQ(result.changed_classes, 1);
}

TEST(CompareFiles, MatchesOutputsByName) {
  const TestFolder folder;
  const std::vector<float> x{1, 2}, y{3, 4};
  const std::byte* x_data = std::as_bytes(std::span(x)).data();
  const std::byte* y_data = std::as_bytes(std::span(y)).data();
  const auto write = [&](const std::string& path, bool swapped) {
    std::vector<OutputInfo> infos{{"x", Shape{1}, DType::kFloat32},
                                  {"y", Shape{1}, DType::kFloat32}};
    std::vector<const std::byte*> data{x_data, y_data};
    if (swapped) {
      std::swap(infos[0], infos[1]);
      std::swap(data[0], data[1]);
    }
    auto writer = open_output(path, infos, 2);
    writer->append(data, 2);
    writer->finish();
  };
  write(folder / "a.npz", false);
  write(folder / "b.npz", true);
  EXPECT_EQ(compare_files(folder / "a.npz", folder / "b.npz").differing_samples, 0);
}

TEST(CompareFiles, SaysWhatDoesNotFit) {
  const TestFolder folder;
  write_outputs(folder / "a.npy", {1, 2, 3, 4, 5, 6}, 3);
  write_outputs(folder / "fewer.npy", {1, 2, 3, 4}, 2);
  write_outputs(folder / "wider.npy", {1, 2, 3, 4, 5, 6, 7, 8, 9}, 3);
  EXPECT_NE(error_of([&] {
              compare_files(folder / "a.npy", folder / "fewer.npy");
            }).find("has 3 samples"),
            std::string::npos);
  const std::string shapes =
      error_of([&] { compare_files(folder / "a.npy", folder / "wider.npy"); });
  EXPECT_NE(shapes.find("float32[2]"), std::string::npos) << shapes;
  EXPECT_NE(shapes.find("float32[3]"), std::string::npos) << shapes;
}

}  // namespace
}  // namespace batchwise

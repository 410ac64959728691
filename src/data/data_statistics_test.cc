// SPDX-License-Identifier: Apache-2.0
#include "data/data_statistics.h"

#include <gmock/gmock.h>

#include <cstring>

#include "data/data_spec.h"
#include "data/test_folder.h"

namespace batchwise {
namespace {

TEST(DataStatistics, OfNumbers) {
  TestFolder folder;
  const auto source = open_data(parse_data_spec(folder.write("a.csv", "1,2,0\n3,4,2\n9,9,-1\n")));
  const auto [mean, std] = channel_statistics(*source, 0, {0, 2});
  EXPECT_THAT(mean, testing::ElementsAre(2.5));
  EXPECT_THAT(std, testing::ElementsAre(testing::DoubleEq(1.118033988749895)));  // sqrt(5) / 2
  const auto [min, max] = label_range(*source, {0, 3});
  EXPECT_EQ(min, -1);
  EXPECT_EQ(max, 2);
  EXPECT_EQ(error_of([&] { check_labels(*source, 2); }),
            "[" + folder / "a.csv" + "] sample 1 has label 2, the model has 2 classes (0 to 1)");
  EXPECT_THAT(error_of([&] { check_labels(*source, 3); }),
              testing::HasSubstr("sample 2 has label -1"));
}

TEST(DataStatistics, EachChannelOfAnImage) {
  TestFolder folder;
  folder.write("c/1.png", file_content(fixture("color.png")));
  const auto source = open_data(parse_data_spec(folder.path()));
  // fixtures/make_images.py: 40 y, 50 x and 20 (x + y) for y in 0..5, x in 0..4.
  const auto [mean, std] = channel_statistics(*source, 0, {0, 1});
  EXPECT_THAT(mean, testing::ElementsAre(100, 100, 90));
  EXPECT_NEAR(std[0], 68.313005, 1e-6);
  EXPECT_NEAR(std[1], 70.710678, 1e-6);
}

// Counts how often labels are read.
class CountedLabels : public DataSource {
 public:
  CountedLabels() {
    path_ = "counted";
    num_samples_ = 3;
    label_ = LabelInfo{};
  }
  void read(std::span<const std::int64_t> indices, std::span<std::byte* const>, std::byte* labels,
            std::span<std::byte>) const override {
    for (std::size_t i = 0; i < indices.size(); ++i) {
      std::memcpy(labels + 8 * i, &indices[i], 8);
      ++reads;
    }
  }
  std::size_t scratch_bytes() const override { return 0; }
  std::size_t resident_bytes() const override { return 0; }

  mutable int reads = 0;
};

TEST(DataStatistics, LabelsThatFitAreReadOnce) {
  const CountedLabels source;
  for (int times = 0; times < 3; ++times) check_labels(source, 3);
  EXPECT_EQ(label_range(source, {0, 3}).max, 2);
  EXPECT_EQ(source.reads, 3);
  EXPECT_EQ(label_range(source, {0, 2}).max, 1);
  EXPECT_EQ(error_of([&] { check_labels(source, 2); }),
            "[counted] sample 2 has label 2, the model has 2 classes (0 to 1)");
}

TEST(DataStatistics, TargetsAreNoClassIds) {
  TestFolder folder;
  const auto source = open_data(parse_data_spec(folder.write("a.csv", "1,0.5\n")));
  EXPECT_EQ(error_of([&] { check_labels(*source, 2); }),
            "[" + folder / "a.csv" + "] targets that are not integers where class ids are needed");
}

TEST(DataStatistics, Mnist) {
  const std::string path = shared_data("mnist");
  if (path.empty()) GTEST_SKIP() << "no shared data";
  const auto train = open_data(parse_data_spec(path + ":train"));
  const auto [mean, std] = channel_statistics(*train, 0, {0, train->num_samples()});
  EXPECT_NEAR(mean.at(0), 33.3184, 5e-5);
  EXPECT_NEAR(std.at(0), 78.5675, 5e-5);
  check_labels(*train, 10);
  EXPECT_NE(error_of([&] { check_labels(*train, 9); }), "");
}

}  // namespace
}  // namespace batchwise

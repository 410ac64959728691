// SPDX-License-Identifier: Apache-2.0
#include "data/parted_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "data/data_spec.h"
#include "data/test_folder.h"

namespace batchwise {
namespace {

// 200 samples of two numbers, sorted by their class: 0 for the first half.
std::unique_ptr<DataSource> sorted_samples(const TestFolder& folder) {
  std::string text;
  for (int i = 0; i < 200; ++i) {
    text += std::to_string(i) + "," + std::to_string(-i) + (i < 100 ? ",0\n" : ",1\n");
  }
  return open_data(parse_data_spec(folder.write("sorted.csv", text)));
}

TEST(PartedSource, EverySampleStaysItselfAndBothPartsHaveAllClasses) {
  const TestFolder folder;
  const PartedSource parted(sorted_samples(folder), 0.2);
  ASSERT_EQ(parted.num_samples(), 200);
  std::vector<std::int64_t> indices(200);
  std::iota(indices.begin(), indices.end(), std::int64_t{0});
  std::vector<float> values(400);
  std::vector<std::int64_t> labels(200);
  std::vector<std::byte> scratch(parted.scratch_bytes());
  const std::vector<std::byte*> targets{reinterpret_cast<std::byte*>(values.data())};
  parted.read(indices, targets, reinterpret_cast<std::byte*>(labels.data()), scratch);
  std::vector<int> found;
  for (std::size_t i = 0; i < 200; ++i) {
    const auto sample = static_cast<int>(values[2 * i]);
    found.push_back(sample);
    EXPECT_EQ(values[2 * i + 1], -static_cast<float>(sample));
    EXPECT_EQ(labels[i], sample < 100 ? 0 : 1);
  }
  // The parts: each in the order of the data, together all of it.
  EXPECT_TRUE(std::is_sorted(found.begin(), found.begin() + 160));
  EXPECT_TRUE(std::is_sorted(found.begin() + 160, found.end()));
  const auto second_class = std::count(labels.begin() + 160, labels.end(), 1);
  EXPECT_GT(second_class, 10);
  EXPECT_LT(second_class, 30);
  std::sort(found.begin(), found.end());
  for (int i = 0; i < 200; ++i) EXPECT_EQ(found[static_cast<std::size_t>(i)], i);
}

TEST(PartedSource, LabelsAloneCanBeRead) {
  const TestFolder folder;
  const PartedSource parted(sorted_samples(folder), 0.5);
  const std::vector<std::int64_t> indices{0, 199};
  std::vector<std::int64_t> labels(2, -1);
  std::vector<std::byte> scratch(parted.scratch_bytes());
  const std::vector<std::byte*> targets{nullptr};
  parted.read(indices, targets, reinterpret_cast<std::byte*>(labels.data()), scratch);
  EXPECT_THAT(labels, testing::ElementsAre(0, 1));
}

}  // namespace
}  // namespace batchwise

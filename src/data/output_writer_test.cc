// SPDX-License-Identifier: Apache-2.0
#include "data/output_writer.h"

#include <gmock/gmock.h>

#include <cerrno>
#include <cmath>
#include <limits>

#include "base/atomic_file.h"
#include "data/data_spec.h"
#include "data/test_folder.h"

namespace batchwise {
namespace {

using testing::ElementsAre;

const std::vector<float> kValues{1.5f, -0.1f, 1e-45f, 3.4028235e38f, 16777216, 1.0f / 3};

void write_rows(OutputWriter& writer, std::int64_t first, std::int64_t rows) {
  const auto* row = reinterpret_cast<const std::byte*>(kValues.data() + 2 * first);
  writer.append(std::span(&row, 1), rows);
}

void write_values(const std::string& path) {
  const auto writer = open_output(path, {{"out", Shape{2}, DType::kFloat32}}, 3);
  write_rows(*writer, 0, 2);
  write_rows(*writer, 2, 1);
  writer->finish();
}

TEST(OutputWriter, NpyIsWhatNumpyWrites) {
  TestFolder folder;
  write_values(folder / "a.npy");
  std::string expected("\x93NUMPY\x01\x00\x76\x00", 10);
  expected += "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }";
  expected.resize(127, ' ');
  expected += '\n';
  expected.append(reinterpret_cast<const char*>(kValues.data()), 24);
  EXPECT_EQ(file_content(folder / "a.npy"), expected);
}

TEST(OutputWriter, CsvReadsBackToTheSameBits) {
  TestFolder folder;
  write_values(folder / "a.csv");
  EXPECT_EQ(file_content(folder / "a.csv"), "1.5,-0.1\n1e-45,3.4028235e+38\n16777216,0.33333334\n");
  EXPECT_EQ(read_feature<float>(*open_outputs(folder / "a.csv"), {0, 1, 2}), kValues);
}

TEST(OutputWriter, NanAndInfinityGoThroughCsv) {
  TestFolder folder;
  const float values[] = {std::numeric_limits<float>::quiet_NaN(),
                          -std::numeric_limits<float>::infinity()};
  const auto* row = reinterpret_cast<const std::byte*>(values);
  const auto writer = open_output(folder / "a.csv", {{"out", Shape{2}, DType::kFloat32}}, 1);
  writer->append(std::span(&row, 1), 1);
  writer->finish();
  const auto read = read_feature<float>(*open_outputs(folder / "a.csv"), {0});
  EXPECT_TRUE(std::isnan(read[0]));
  EXPECT_EQ(read[1], values[1]);
}

// NumPy reads fixtures/written.npz as {"p": [[1.5, -0.1], ...], "ids": [5, 6, 7]}.
TEST(OutputWriter, NpzHoldsSeveralOutputs) {
  TestFolder folder;
  const std::string path = folder / "a.npz";
  const auto writer =
      open_output(path, {{"p", Shape{2}, DType::kFloat32}, {"ids", Shape{}, DType::kInt64}}, 3);
  const std::int64_t ids[] = {5, 6, 7};
  for (int row = 0; row < 3; ++row) {
    const std::byte* rows[] = {reinterpret_cast<const std::byte*>(kValues.data() + 2 * row),
                               reinterpret_cast<const std::byte*>(ids + row)};
    writer->append(rows, 1);
  }
  writer->finish();
  EXPECT_EQ(file_content(path), file_content(fixture("written.npz")));
  const auto source = open_outputs(path);
  EXPECT_EQ(read_feature<float>(*source, {0, 1, 2}, 0), kValues);
  EXPECT_THAT(read_feature<std::int64_t>(*source, {2, 0}, 1), ElementsAre(7, 5));
}

TEST(OutputWriter, AFullDiskLeavesNothing) {
  TestFolder folder;
  for (const char* name : {"a.npy", "a.csv", "a.npz"}) {
    inject_write_fault([](std::string_view, std::size_t) { return ENOSPC; });
    EXPECT_EQ(error_of([&] { write_values(folder / name); }),
              "[" + folder / name + "] cannot write: No space left on device");
    inject_write_fault(nullptr);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  }
}

TEST(OutputWriter, RefusesOtherEndingsAndTooManyOutputs) {
  EXPECT_EQ(error_of([] { open_output("a.txt", {{}}, 1); }),
            "[a.txt] outputs are written to .npy, .npz or .csv");
  EXPECT_EQ(error_of([] {
              open_output("a.npy", {{}, {}}, 1);
            }),
            "[a.npy] 2 outputs need an .npz, or one of them chosen");
}

}  // namespace
}  // namespace batchwise

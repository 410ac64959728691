// SPDX-License-Identifier: Apache-2.0
#include "data/tar.h"

#include <gmock/gmock.h>

#include "base/check.h"
#include "data/data_spec.h"
#include "data/test_folder.h"

namespace batchwise {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A ustar entry, written field by field.
std::string tar_entry(const std::string& name, const std::string& data, char type = '0') {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  header.replace(100, 8, std::string("0000644\0", 8));
  header.replace(124, 12, fmt::format("{:011o}", data.size()) + '\0');
  header.replace(148, 8, "        ");
  header[156] = type;
  header.replace(257, 8, std::string("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  header.replace(148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  std::string padded = data;
  padded.resize((data.size() + 511) / 512 * 512);
  return header + padded;
}

std::string tar_of_images() {
  const std::string png = file_content(fixture("grey.png"));
  const std::string jpg = file_content(fixture("grey.jpg"));
  return tar_entry("top/train/", "", '5') + tar_entry("top/train/b/2.png", png) +
         tar_entry("top/readme.txt", "text") + tar_entry("top/train/b/1.jpg", jpg) +
         tar_entry("top/train/a/9.png", png) + tar_entry("pax", "25 path=top/test/a/z.png\n", 'x') +
         tar_entry("short", png) +
         tar_entry("././@LongLink", std::string("top/test/c/long.png\0", 20), 'L') +
         tar_entry("top/test/c/lo", png) + std::string(1024, '\0');
}

TEST(ImageTar, IsLikeTheFolderPlainAndCompressed) {
  TestFolder folder;
  for (const std::string& path :
       {folder.write("a.tar", tar_of_images()), folder.write_gzip("a.tar.gz", tar_of_images())}) {
    EXPECT_THAT(available_splits(path), ElementsAre("train", "test"));
    const auto train = open_data(parse_data_spec(path + ":train"));
    EXPECT_EQ(train->num_samples(), 3);
    EXPECT_THAT(train->class_names(), ElementsAre("a", "b", "c"));
    EXPECT_THAT(read_labels<std::int64_t>(*train, {0, 1, 2}), ElementsAre(0, 1, 1));
    // fixtures/make_images.py: row y is 40 * y throughout.
    const auto pixels = read_feature<std::uint8_t>(*train, {2, 0});
    EXPECT_EQ(pixels[5], 40);
    EXPECT_EQ(pixels[30 + 29], 200);
    const auto test = open_data(parse_data_spec(path + ":test"));
    EXPECT_THAT(read_labels<std::int64_t>(*test, {0, 1}), ElementsAre(0, 2));
  }
}

TEST(ImageTar, ALimitTakesTheClassesInTurn) {
  TestFolder folder;
  const std::string png = file_content(fixture("grey.png"));
  const std::string tar = tar_entry("a/1.png", png) + tar_entry("a/2.png", png) +
                          tar_entry("a/3.png", png) + tar_entry("b/1.png", png) +
                          tar_entry("b/2.png", png);
  for (const std::string& path : {folder.write("a.tar", tar), folder.write_gzip("a.tgz", tar)}) {
    DataSpec spec = parse_data_spec(path);
    spec.limit = 3;
    const auto source = open_data(spec);
    ASSERT_EQ(source->num_samples(), 3);
    EXPECT_THAT(read_labels<std::int64_t>(*source, {0, 1, 2}), ElementsAre(0, 0, 1));
    EXPECT_EQ(read_feature<std::uint8_t>(*source, {2})[29], 200);
  }
}

TEST(ImageTar, RefusesEveryTruncation) {
  TestFolder folder;
  const std::string whole = tar_of_images();
  const std::string end = whole.substr(0, whole.size() - 1024);
  for (std::size_t bytes = 0; bytes < end.size(); bytes += 100) {
    if (bytes % 512 == 0) continue;  // the end of an entry may be the end of the archive
    const std::string path = folder.write("cut.tar", end.substr(0, bytes));
    EXPECT_NE(error_of([&] { open_data(parse_data_spec(path + ":test")); }), "") << bytes;
  }
}

TEST(ImageTar, ErrorsNameTheEntry) {
  TestFolder folder;
  const std::string path = folder / "a.tar";
  const auto error = [&](const std::string& tar) {
    folder.write("a.tar", tar);
    return error_of([&] { open_data(parse_data_spec(path)); });
  };
  EXPECT_EQ(error(tar_entry("c/1.png", "no image")),
            "[" + path + ":c/1.png] neither a JPEG nor a PNG image");
  EXPECT_EQ(error(tar_entry("1.png", "x")), "[" + path + "] image '1.png' is in no class folder");
  EXPECT_EQ(error(tar_entry("c/1.txt", "x")), "[" + path + "] has no images in class folders");
  EXPECT_THAT(error(std::string(600, 'x')), HasSubstr("a number is not one"));
  std::string damaged = tar_entry("c/1.png", "no image");
  damaged[3] = 'X';
  EXPECT_THAT(error(damaged), HasSubstr("not a tar archive, or damaged: checksum"));
}

TEST(ImageTar, Cifar10AsJpeg) {
  const std::string path = shared_data("cifar10/cifar10-jpeg.tar.gz");
  if (path.empty()) GTEST_SKIP() << "no shared data";
  const auto test = open_data(parse_data_spec(path + ":test"));
  EXPECT_EQ(test->num_samples(), 10000);
  EXPECT_EQ(test->features()[0].shape, (Shape{3, 32, 32}));
  EXPECT_THAT(test->class_names(), ElementsAre("airplane", "automobile", "bird", "cat", "deer",
                                               "dog", "frog", "horse", "ship", "truck"));
  EXPECT_THAT(read_labels<std::int64_t>(*test, {0, 999, 1000, 9999}), ElementsAre(0, 0, 1, 9));
  EXPECT_LT(test->resident_bytes(), 200000u);
  read_feature<std::uint8_t>(*test, {0, 5000, 9999});
}

TEST(CifarBinary, ReadsRecordsAcrossFiles) {
  TestFolder folder;
  const auto record = [](char label, char pixel) {
    return std::string(1, label) + std::string(3072, pixel);
  };
  folder.write("data_batch_1.bin", record(3, 'a') + record(4, 'b'));
  folder.write("data_batch_2.bin", record(9, 'c'));
  folder.write("test_batch.bin", record(0, 'd'));
  folder.write("batches.meta.txt", "0\n1\n2\n3\n4\n5\n6\n7\n8\nnine\n\n");
  const auto source = open_data(parse_data_spec(folder.path() + ":train"));
  EXPECT_EQ(source->num_samples(), 3);
  EXPECT_EQ(source->features()[0].shape, (Shape{3, 32, 32}));
  EXPECT_EQ(source->class_names().back(), "nine");
  EXPECT_THAT(read_labels<std::int64_t>(*source, {0, 1, 2}), ElementsAre(3, 4, 9));
  const auto pixels = read_feature<std::uint8_t>(*source, {1, 2});
  EXPECT_EQ(pixels[0], 'b');
  EXPECT_EQ(pixels[3071], 'b');
  EXPECT_EQ(pixels[3072], 'c');
  const auto alone = open_data(parse_data_spec(folder / "data_batch_1.bin"));
  EXPECT_THAT(read_labels<std::int64_t>(*alone, {0, 1}), ElementsAre(3, 4));
  EXPECT_EQ(alone->num_samples(), 2);
  EXPECT_EQ(alone->class_names().back(), "nine");
  EXPECT_THAT(available_splits(folder / "data_batch_1.bin"), ElementsAre());
  const std::string path = folder.write("test_batch.bin", record(0, 'd') + "x");
  EXPECT_EQ(error_of([&] { open_data(parse_data_spec(path)); }),
            "[" + path + "] 3074 bytes: not a whole number of records of 3073");
  EXPECT_EQ(error_of([&] { open_data(parse_data_spec(folder.path() + ":test")); }),
            "[" + path + "] 3074 bytes: not a whole number of records of 3073");
}

}  // namespace
}  // namespace batchwise

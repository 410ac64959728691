// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "data/data_spec.h"
#include "data/test_folder.h"

namespace batchwise {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Three images of 2x2 and their labels, written by hand.
const std::string kImages(
    "\0\0\x08\x03\0\0\0\x03\0\0\0\x02\0\0\0\x02"
    "abcdefghijkl",
    28);
const std::string kLabels("\0\0\x08\x01\0\0\0\x03\x07\x00\x02", 11);

TEST(Idx, ReadsImagesAndLabelsAtRandom) {
  TestFolder folder;
  folder.write("train-images-idx3-ubyte", kImages);
  folder.write("train-labels-idx1-ubyte", kLabels);
  const auto source = open_data(parse_data_spec(folder.path()));
  EXPECT_EQ(source->num_samples(), 3);
  EXPECT_EQ(source->features()[0].shape, (Shape{1, 2, 2}));
  EXPECT_EQ(source->features()[0].dtype, DType::kUInt8);
  EXPECT_THAT(read_feature<std::uint8_t>(*source, {2, 0}),
              ElementsAre('i', 'j', 'k', 'l', 'a', 'b', 'c', 'd'));
  EXPECT_THAT(read_labels<std::int64_t>(*source, {2, 0, 1}), ElementsAre(2, 7, 0));
}

TEST(Idx, GzipGivesTheSame) {
  TestFolder folder;
  folder.write_gzip("t10k-images-idx3-ubyte.gz", kImages);
  folder.write_gzip("t10k-labels-idx1-ubyte.gz", kLabels);
  EXPECT_THAT(available_splits(folder.path()), ElementsAre("test"));
  const auto source = open_data(parse_data_spec(folder.path() + ":test"));
  EXPECT_THAT(read_feature<std::uint8_t>(*source, {1}), ElementsAre('e', 'f', 'g', 'h'));
  EXPECT_THAT(read_labels<std::int64_t>(*source, {0, 1, 2}), ElementsAre(7, 0, 2));
}

TEST(Idx, ImagesWithoutLabelsCanBePredicted) {
  TestFolder folder;
  folder.write("t10k-images-idx3-ubyte", kImages);
  EXPECT_FALSE(open_data(parse_data_spec(folder.path()))->label().has_value());
}

TEST(Idx, AFileOfImagesStandsAlone) {
  TestFolder folder;
  folder.write("train-labels-idx1-ubyte", kLabels);
  for (const std::string& path : {folder.write("train-images-idx3-ubyte", kImages),
                                  folder.write_gzip("train-images.idx3-ubyte.gz", kImages)}) {
    EXPECT_THAT(available_splits(path), IsEmpty());
    const auto source = open_data(parse_data_spec(path));
    EXPECT_EQ(source->num_samples(), 3);
    EXPECT_EQ(source->features()[0].shape, (Shape{1, 2, 2}));
    EXPECT_FALSE(source->label().has_value());
    EXPECT_THAT(read_feature<std::uint8_t>(*source, {1}), ElementsAre('e', 'f', 'g', 'h'));
  }
  EXPECT_EQ(error_of([&] { open_data(parse_data_spec(folder / "train-labels-idx1-ubyte")); }),
            "[" + folder / "train-labels-idx1-ubyte" +
                "] labels without images: name the images' file, or the folder of both");
}

TEST(Idx, RefusesWhatItsHeaderDoesNotSay) {
  TestFolder folder;
  const std::string path = folder.write("train-images-idx3-ubyte", kImages.substr(0, 27));
  const auto open = [&] { open_data(parse_data_spec(folder.path())); };
  EXPECT_EQ(error_of(open), "[" + path + "] 27 bytes where the IDX header [3, 2, 2] makes it 28");
  folder.write("train-images-idx3-ubyte", "\x7f" + kImages);
  EXPECT_EQ(error_of(open), "[" + path + "] not an IDX file");
  folder.write("train-images-idx3-ubyte", std::string("\0\0\x08\x04", 4) + std::string(16, '\xff'));
  EXPECT_THAT(error_of(open), HasSubstr("is too large to address"));
  folder.write("train-images-idx3-ubyte", std::string("\0\0\x0D\x01", 4) + std::string(16, '\1'));
  EXPECT_THAT(error_of(open), HasSubstr("IDX type 0x0d"));
  folder.write("train-images-idx3-ubyte", "");
  EXPECT_EQ(error_of(open), "[" + path + "] the IDX header ends early");
}

TEST(DataSpec, AnUnknownSplitIsAnsweredWithThoseThereAre) {
  TestFolder folder;
  folder.write("train-images-idx3-ubyte", kImages);
  folder.write("t10k-images-idx3-ubyte", kImages);
  folder.write("a.csv", "1,2\n3,4\n");
  const auto refusal = [](const std::string& text) {
    return error_of([&] { open_data(with_default_split(parse_data_spec(text), "train")); });
  };
  EXPECT_EQ(refusal(folder.path() + ":valid"),
            "[" + folder.path() + "] has no split 'valid', only train, test");
  EXPECT_EQ(refusal(folder / "a.csv:valid"),
            "[" + folder / "a.csv" + "] has no split 'valid', it is not divided");
  EXPECT_EQ(refusal(folder / "a.csv:test"),
            "[" + folder / "a.csv" + "] has no split 'test', it is not divided");
  EXPECT_EQ(refusal(folder / "b.csv:valid"),
            "[" + folder / "b.csv:valid" + "] there is no such file or folder");
}

TEST(Idx, RefusesTruncatedGzip) {
  TestFolder folder;
  const std::string path = folder.write_gzip("train-images-idx3-ubyte.gz", kImages);
  const std::string whole = file_content(path);
  folder.write("train-images-idx3-ubyte.gz", whole.substr(0, whole.size() - 9));
  EXPECT_THAT(error_of([&] { open_data(parse_data_spec(folder.path())); }),
              HasSubstr("compressed data ends early"));
}

TEST(Idx, RefusesLabelsOfAnotherNumber) {
  TestFolder folder;
  folder.write("train-images-idx3-ubyte", kImages);
  folder.write("train-labels-idx1-ubyte", std::string("\0\0\x08\x01\0\0\0\x01\x07", 9));
  EXPECT_EQ(error_of([&] { open_data(parse_data_spec(folder.path())); }),
            "[" + folder.path() + "] 1 labels for 3 samples");
}

TEST(Idx, Mnist) {
  const std::string path = shared_data("mnist");
  if (path.empty()) GTEST_SKIP() << "no shared data";
  EXPECT_THAT(available_splits(path), ElementsAre("train", "test"));
  EXPECT_THAT(error_of([&] { open_data(parse_data_spec(path)); }),
              HasSubstr("has the splits train, test: name one"));
  const auto train = open_data(parse_data_spec(path + ":train"));
  EXPECT_EQ(train->num_samples(), 60000);
  EXPECT_EQ(train->features()[0].shape, (Shape{1, 28, 28}));
  EXPECT_LT(train->resident_bytes(), 4096u);
  const auto test = open_data(with_default_split(parse_data_spec(path), "test"));
  EXPECT_EQ(test->num_samples(), 10000);
}

}  // namespace
}  // namespace batchwise

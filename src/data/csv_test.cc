// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "data/data_spec.h"
#include "data/test_folder.h"

namespace batchwise {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CsvTest : public testing::Test {
 protected:
  std::unique_ptr<DataSource> open(std::string_view text, std::string label = {},
                                   std::int64_t limit = -1) {
    DataSpec spec = parse_data_spec(folder_.write("a.csv", text));
    spec.label = std::move(label);
    spec.limit = limit;
    return open_data(spec);
  }
  std::string error(std::string_view text, std::string label = {}) {
    const std::string message = error_of([&] { open(text, label); });
    const std::string path = folder_ / "a.csv";
    EXPECT_THAT(message, testing::StartsWith("[" + path));
    return message.size() > path.size() ? message.substr(path.size() + 1) : message;
  }
  TestFolder folder_;
};

TEST_F(CsvTest, IntegerLabelsInTheLastColumn) {
  const auto source = open("1,2.5,0\n-3e2,4,1\n");
  EXPECT_EQ(source->num_samples(), 2);
  EXPECT_EQ(source->features()[0].shape, Shape{2});
  EXPECT_THAT(read_feature<float>(*source, {1, 0}), ElementsAre(-300, 4, 1, 2.5));
  EXPECT_THAT(read_labels<std::int64_t>(*source, {0, 1}), ElementsAre(0, 1));
}

TEST_F(CsvTest, HeaderQuotesSpacesAndNamedLabel) {
  const auto source = open("\xEF\xBB\xBF kind ,\"a, b\",c\r\nx, \"1\" ,2\r\n\r\ny,3,4", "kind");
  EXPECT_THAT(source->class_names(), ElementsAre("x", "y"));
  EXPECT_THAT(read_feature<float>(*source, {0, 1}), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(read_labels<std::int64_t>(*source, {0, 1}), ElementsAre(0, 1));
}

TEST_F(CsvTest, TextLabelsAreClassesInSortedOrder) {
  const auto source = open("1,zebra\n2,ant\n3,\"say \"\"hi\"\"\"\n4,ant\n");
  EXPECT_THAT(source->class_names(), ElementsAre("ant", "say \"hi\"", "zebra"));
  EXPECT_THAT(read_labels<std::int64_t>(*source, {0, 1, 2, 3}), ElementsAre(2, 0, 1, 0));
}

TEST_F(CsvTest, ClassesDoNotDependOnTheLimit) {
  const auto source = open("1,zebra\n2,ant\n3,cow\n", {}, 1);
  EXPECT_EQ(source->num_samples(), 1);
  EXPECT_THAT(source->class_names(), ElementsAre("ant", "cow", "zebra"));
  EXPECT_THAT(read_labels<std::int64_t>(*source, {0}), ElementsAre(2));
}

TEST_F(CsvTest, MixedLabelsAreTexts) {
  const auto source = open("1,7\n2,b\n3,07\n");
  EXPECT_THAT(source->class_names(), ElementsAre("07", "7", "b"));
  EXPECT_THAT(read_labels<std::int64_t>(*source, {0, 1, 2}), ElementsAre(1, 2, 0));
}

TEST_F(CsvTest, FractionsAreTargets) {
  const auto source = open("1,24\n2,21.6\n");
  EXPECT_EQ(source->label()->dtype, DType::kFloat32);
  EXPECT_THAT(read_labels<float>(*source, {0, 1}), ElementsAre(24, 21.6f));
}

TEST_F(CsvTest, NumberedHeaderIsKnownByItsLabel) {
  EXPECT_EQ(open("0,1,label\n5,6,3\n")->num_samples(), 1);
  EXPECT_EQ(open("0,1,x\n5,6,y\n")->num_samples(), 2);
}

TEST_F(CsvTest, WithoutLabelEveryColumnIsAFeature) {
  const auto source = open("1,2\n3,4\n", "none");
  EXPECT_FALSE(source->label().has_value());
  EXPECT_THAT(read_feature<float>(*source, {1}), ElementsAre(3, 4));
}

TEST_F(CsvTest, ErrorsNameTheLine) {
  EXPECT_EQ(error("1,2,0\n1,2\n"), ":2] 2 fields where the first line has 3");
  EXPECT_EQ(error("1,2,0\n\n1,nan,1\n"), ":3] field 2 is 'nan', not a finite number");
  EXPECT_EQ(error("nan,2,0\n1,2,1\n"), ":1] field 1 is 'nan', not a finite number");
  EXPECT_EQ(error("1,2,0\n1,x\ty,1\n"), ":2] field 2 is 'x?y', not a finite number");
  EXPECT_EQ(error("1,2,0\n1,1e39,1\n"), ":2] field 2 is '1e39', not a finite number");
  EXPECT_EQ(error("1,2,0\n1,,1\n"), ":2] field 2 is '', not a finite number");
  EXPECT_EQ(error("1,2,0\n1,2,\n"), ":2] the label is empty");
  EXPECT_EQ(error("1,2,inf\n"), ":1] the label 'inf' is not a finite number");
  EXPECT_EQ(error("1,\"2,0\n"), ":1] field 2: a quote has no end");
  EXPECT_EQ(error("1,\"2\"3,0\n"), ":1] field 2: text follows the closing quote");
}

TEST_F(CsvTest, ErrorsOfTheWholeFile) {
  EXPECT_EQ(error(""), "] has no lines");
  EXPECT_EQ(error("a,b\n"), "] has no samples below its header");
  EXPECT_EQ(error("1\n2\n"), "] one column only: at least one besides the label is needed");
  EXPECT_EQ(error("a,b\n1,2\n", "c"), "] has no column 'c' in its first line, only: a, b");
}

TEST_F(CsvTest, MissingFileAndUnknownKind) {
  EXPECT_EQ(error_of([] { open_data(parse_data_spec("/nowhere/a.csv")); }),
            "[/nowhere/a.csv] there is no such file or folder");
  const std::string path = folder_.write("a.txt", "1,2\n");
  EXPECT_THAT(error_of([&] { open_data(parse_data_spec(path)); }), HasSubstr("not data"));
  EXPECT_EQ(
      error_of([&] { open_data(parse_data_spec(folder_.write("b.csv", "1,2\n") + ":test")); }),
      "[" + folder_ / "b.csv" + "] has no split 'test', it is not divided");
}

TEST_F(CsvTest, CacheIsBoundedAndLeavesNothing) {
  DataSpec spec = parse_data_spec(folder_.write("a.csv", "1,2,0\n3,4,1\n"));
  spec.cache = {folder_.path(), 1 << 20};
  {
    const auto source = open_data(spec);
    EXPECT_THAT(read_feature<float>(*source, {1}), ElementsAre(3, 4));
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()),
                            std::filesystem::directory_iterator()),
              1);
  }
  spec.cache.limit_bytes = 10;
  EXPECT_EQ(error_of([&] { open_data(spec); }),
            "[" + spec.path + "] its cache in " + folder_.path() +
                " needs more than 10 bytes, which is the limit");
}

TEST_F(CsvTest, Digits) {
  const auto source =
      open_data(parse_data_spec((repository_root() / "data/digits.csv.gz").string()));
  EXPECT_EQ(source->num_samples(), 1797);
  EXPECT_EQ(source->features()[0].shape, Shape{64});
  EXPECT_THAT(read_labels<std::int64_t>(*source, {0, 1, 2, 3, 1796}), ElementsAre(0, 1, 2, 3, 8));
  const auto first = read_feature<float>(*source, {0});
  EXPECT_THAT(std::vector<float>(first.begin(), first.begin() + 8),
              ElementsAre(0, 0, 5, 13, 9, 1, 0, 0));
}

}  // namespace
}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
// The images in fixtures/, and what they decode to, are Pillow's (fixtures/make_images.py).
#include "data/image.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <numeric>

#include "data/data_spec.h"
#include "data/test_folder.h"

namespace batchwise {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::vector<std::uint8_t> decode(const std::string& encoded, const ImageInfo& info) {
  std::vector<std::uint8_t> pixels(info.bytes());
  std::vector<std::byte> scratch(info.bytes());
  decode_image(bytes_of(encoded), info, reinterpret_cast<std::byte*>(pixels.data()), scratch,
               "image");
  return pixels;
}

TEST(Image, DecodesWhatPillowDecodes) {
  const auto expected = open_outputs(fixture("images.npz"));
  ASSERT_EQ(expected->features().size(), 10u);
  for (std::size_t i = 0; i < expected->features().size(); ++i) {
    const FeatureInfo& feature = expected->features()[i];
    const std::string encoded = file_content(fixture(feature.name));
    const ImageInfo info = read_image_info(bytes_of(encoded), feature.name);
    EXPECT_EQ(Shape({info.channels, info.height, info.width}), feature.shape) << feature.name;
    const auto wanted = read_feature<std::uint8_t>(*expected, {0}, i);
    const auto got = decode(encoded, info);
    const int tolerance = feature.name.ends_with(".jpg") ? 2 : 0;  // decoders round differently
    for (std::size_t p = 0; p < wanted.size(); ++p) {
      EXPECT_LE(std::abs(wanted[p] - got[p]), tolerance) << feature.name << " at " << p;
    }
  }
}

TEST(Image, RefusesEveryTruncation) {
  for (const char* name : {"color.jpg", "progressive.jpg", "color.png", "palette.png"}) {
    const std::string whole = file_content(fixture(name));
    for (std::size_t bytes = 0; bytes + 2 < whole.size(); ++bytes) {
      EXPECT_NE(error_of([&] {
                  decode(whole.substr(0, bytes), {3, 6, 5});
                }),
                "")
          << name << " cut to " << bytes;
    }
  }
}

TEST(Image, RefusesWhatIsNone) {
  EXPECT_EQ(error_of([] {
              decode("GIF89a", {3, 6, 5});
            }),
            "[image] neither a JPEG nor a PNG image");
  EXPECT_EQ(error_of([] {
              decode(file_content(fixture("color.png")), {3, 6, 6});
            }),
            "[image] an image of size 3x6x5, others have 3x6x6");
  std::string huge = file_content(fixture("color.png"));
  huge.replace(16, 8, "\x7f\xff\xff\xff\x7f\xff\xff\xff");
  EXPECT_EQ(error_of([&] { read_image_info(bytes_of(huge), "huge"); }),
            "[huge] an image of size 3x2147483647x2147483647");
}

// A class without an image in this split keeps its id.
TEST(ImageFolder, ClassesAreTheFoldersInSortedOrder) {
  TestFolder folder;
  const std::string png = file_content(fixture("grey.png"));
  folder.write("train/b/2.png", png);
  folder.write("train/b/1.PNG", png);
  folder.write("train/c/x.jpg", file_content(fixture("grey.jpg")));
  folder.write("train/c/notes.txt", "no image");
  folder.write("test/a/1.png", png);
  EXPECT_THAT(available_splits(folder.path()), ElementsAre("train", "test"));
  const auto train = open_data(parse_data_spec(folder.path() + ":train"));
  EXPECT_THAT(train->class_names(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(train->num_samples(), 3);
  EXPECT_EQ(train->features()[0].shape, (Shape{1, 6, 5}));
  EXPECT_THAT(read_labels<std::int64_t>(*train, {2, 0, 1}), ElementsAre(2, 1, 1));
  EXPECT_EQ(read_feature<std::uint8_t>(*train, {0}), decode(png, {1, 6, 5}));
  EXPECT_EQ(open_data(parse_data_spec(folder.path() + ":test"))->num_samples(), 1);
}

// Class after class, the first 4 would all be of class "a".
TEST(ImageFolder, ALimitTakesTheClassesInTurn) {
  TestFolder folder;
  const std::string png = file_content(fixture("grey.png"));
  for (const char* name : {"a/1", "a/2", "a/3", "a/4", "b/1", "d/1", "d/2", "d/3"}) {
    folder.write(name + std::string(".png"), png);
  }
  folder.write("c/notes.txt", "no image");
  const auto labels = [&](std::int64_t limit) {
    DataSpec spec = parse_data_spec(folder.path());
    spec.limit = limit;
    const auto source = open_data(spec);
    EXPECT_THAT(source->class_names(), ElementsAre("a", "b", "c", "d"));
    std::vector<std::int64_t> all(static_cast<std::size_t>(source->num_samples()));
    std::iota(all.begin(), all.end(), 0);
    return read_labels<std::int64_t>(*source, all);
  };
  EXPECT_THAT(labels(2), ElementsAre(0, 1));
  EXPECT_THAT(labels(4), ElementsAre(0, 0, 1, 3));
  EXPECT_THAT(labels(6), ElementsAre(0, 0, 0, 1, 3, 3));
  EXPECT_THAT(labels(7), ElementsAre(0, 0, 0, 1, 3, 3, 3));
  EXPECT_THAT(labels(100), ElementsAre(0, 0, 0, 0, 1, 3, 3, 3));
}

// What lies past the limit is not opened.
TEST(ImageFolder, ALimitLooksAtWhatItTakesOnly) {
  TestFolder folder;
  folder.write("a/1.png", file_content(fixture("grey.png")));
  folder.write("a/2.png", "no image");
  folder.write("b/1.png", file_content(fixture("grey.png")));
  DataSpec spec = parse_data_spec(folder.path());
  spec.limit = 2;
  EXPECT_EQ(open_data(spec)->num_samples(), 2);
}

TEST(ImageFolder, ErrorsNameTheFile) {
  TestFolder folder;
  folder.write("a/1.png", file_content(fixture("grey.png")));
  const std::string path = folder.write("b/2.png", "no image");
  const auto open = [&] { return open_data(parse_data_spec(folder.path())); };
  EXPECT_EQ(error_of(open), "[" + path + "] neither a JPEG nor a PNG image");
  folder.write("b/2.png", file_content(fixture("color.png")));
  EXPECT_EQ(error_of(open), "[" + path + "] an image of size 3x6x5, those before it have 1x6x5");
  const std::string grey = file_content(fixture("grey.png"));
  folder.write("b/2.png", grey.substr(0, grey.size() - 20));
  const auto source = open();
  EXPECT_THAT(error_of([&] {
                read_feature<std::uint8_t>(*source, {0, 1});
              }),
              HasSubstr("[" + path + "] a damaged image: "));
}

}  // namespace
}  // namespace batchwise

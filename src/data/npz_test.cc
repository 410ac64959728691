// SPDX-License-Identifier: Apache-2.0
// The files in fixtures/ were written by NumPy (fixtures/make_arrays.py).
#include <gmock/gmock.h>

#include <limits>

#include "data/data_spec.h"
#include "data/npy.h"
#include "data/test_folder.h"

namespace batchwise {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::unique_ptr<DataSource> open(const std::string& path, std::string label = {}) {
  DataSpec spec = parse_data_spec(path);
  spec.label = std::move(label);
  return open_data(spec);
}

TEST(Npz, DeflatedFloat64AndInt32) {
  const auto source = open(fixture("compressed.npz"));
  EXPECT_EQ(source->features()[0].name, "x");
  EXPECT_EQ(source->features()[0].dtype, DType::kFloat32);
  EXPECT_THAT(read_feature<float>(*source, {2, 0}), ElementsAre(1, 1.25, 0, 0.25));
  EXPECT_THAT(read_labels<std::int64_t>(*source, {0, 1, 2}), ElementsAre(2, 0, 1));
}

TEST(Npz, StoredArraysByNameAndNamedLabel) {
  const auto source = open(fixture("stored.npz"), "target");
  ASSERT_EQ(source->features().size(), 2u);
  EXPECT_EQ(source->features()[0].name, "b");
  EXPECT_EQ(source->features()[1].name, "a");
  EXPECT_EQ(source->features()[1].dtype, DType::kBool);
  EXPECT_THAT(read_feature<float>(*source, {1}, 0), ElementsAre(0.5, 0.75));
  EXPECT_THAT(read_feature<std::uint8_t>(*source, {0, 1}, 1), ElementsAre(1, 0));
  EXPECT_EQ(source->label()->shape, Shape{});
  EXPECT_THAT(read_labels<float>(*source, {0, 1, 2}), ElementsAre(0, 0.5, 1));
  EXPECT_THAT(error_of([] { open(fixture("stored.npz"), "z"); }),
              HasSubstr("has no array 'z', only: b, a, target"));
}

TEST(Npz, SplitsAreInTheNames) {
  EXPECT_THAT(available_splits(fixture("splits.npz")), ElementsAre("train", "test"));
  const auto source = open(fixture("splits.npz") + ":test");
  EXPECT_EQ(source->num_samples(), 1);
  EXPECT_EQ(source->features()[0].name, "x");
  EXPECT_THAT(read_labels<std::int64_t>(*source, {0}), ElementsAre(2));
}

TEST(Npy, HalfAndIntegers) {
  const auto half = open(fixture("half.npy"));
  EXPECT_THAT(read_feature<float>(*half, {0}),
              ElementsAre(1.5, -2, 5.9604645e-8f, std::numeric_limits<float>::infinity(), 65504));
  EXPECT_FALSE(half->label().has_value());
  const auto integers = open(fixture("int64.npy"));
  EXPECT_EQ(integers->features()[0].shape, Shape{});
  EXPECT_THAT(read_feature<std::int64_t>(*integers, {1, 0}),
              ElementsAre(-3, std::int64_t{1} << 40));
  EXPECT_EQ(open(fixture("version3.npy"))->features()[0].shape, (Shape{1, 3}));
}

TEST(Npy, RefusesWhatItCannotRead) {
  EXPECT_THAT(error_of([] { open(fixture("fortran.npy")); }), HasSubstr("Fortran order"));
  EXPECT_THAT(error_of([] { open(fixture("big_endian.npy")); }), HasSubstr("'>f8' is big-endian"));
  EXPECT_THAT(error_of([] { open(fixture("objects.npy")); }), HasSubstr("'|O' is not a number"));
}

std::string npy_text(std::string_view dictionary) {
  std::string text("\x93NUMPY\x01\x00", 8);
  text += static_cast<char>(dictionary.size());
  text += '\0';
  return text + std::string(dictionary);
}

TEST(Npy, RefusesHeadersThatLie) {
  TestFolder folder;
  const auto error = [&](const std::string& bytes) {
    const std::string path = folder.write("a.npy", bytes);
    const std::string message = error_of([&] { open(path); });
    return message.size() > path.size() + 3 ? message.substr(path.size() + 3) : message;
  };
  const std::string start = "{'descr': '<f4', 'fortran_order': False, 'shape': ";
  EXPECT_EQ(error(npy_text(start + "(2, 3)}") + std::string(20, '\0')),
            "20 bytes of data where shape [2, 3] of float32 makes it 24");
  EXPECT_THAT(error(npy_text(start + "(4611686018427387904, 8)}")), HasSubstr("too large"));
  EXPECT_THAT(error(npy_text(start + "(99999999999999999999,)}")), HasSubstr("not a dimension"));
  EXPECT_EQ(error(npy_text(start + "(0, 3)}")), "an empty array: [0, 3]");
  EXPECT_EQ(error(npy_text(start + "()}") + "1234"), "one number where samples are expected");
  EXPECT_THAT(error(npy_text(start)), HasSubstr("npy header: no '('"));
  EXPECT_EQ(error(npy_text(start).substr(0, 30)), "npy header of 60 bytes in 30");
  EXPECT_EQ(error("short"), "not an npy array: 5 bytes without its magic");
}

TEST(Npz, RefusesDamagedArchives) {
  TestFolder folder;
  const std::string whole = file_content(fixture("compressed.npz"));
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const std::string path = folder.write("cut.npz", whole.substr(0, bytes));
    EXPECT_NE(error_of([&] { open(path); }), "") << bytes;
  }
  // A member that says it inflates to more than deflate can make of it.
  std::string lie = whole;
  const std::size_t central = lie.find("PK\x01\x02");
  lie.replace(central + 24, 4, "\xff\xff\xff\x7f");
  EXPECT_THAT(error_of([&] { open(folder.write("lie.npz", lie)); }),
              HasSubstr("says 2147483647 bytes"));
}

}  // namespace
}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "serve/http/json_values.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "serve/http/datatype.h"
#include "serve/http/json_text.h"
#include "serve/http/refuse.h"

namespace batchwise::serve {
namespace {

template <typename T>
std::vector<T> read(std::string_view json, DType dtype, std::vector<std::int64_t> shape,
                    bool allow_nonfinite = false) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  std::vector<T> values(static_cast<std::size_t>(count));
  read_json_values(json, {"x", dtype, shape, allow_nonfinite},
                   reinterpret_cast<std::byte*>(values.data()));
  return values;
}

template <typename T>
bool is_refused(std::string_view json, DType dtype, std::vector<std::int64_t> shape = {1}) {
  try {
    read<T>(json, dtype, std::move(shape));
    return false;
  } catch (const RefusedRequest& refused) {
    EXPECT_EQ(refused.refusal.status, Status::kInvalid);
    EXPECT_EQ(refused.refusal.message.find('\n'), std::string::npos);
    return true;
  }
}

bool float_is_refused(std::string_view json, std::vector<std::int64_t> shape = {1}) {
  return is_refused<float>(json, DType::kFloat32, std::move(shape));
}

TEST(JsonValues, NestedFlatAndBetweenAreTheSame) {
  const std::vector<float> wanted{1, 2, 3, 4, 5, 6, 7, 8};
  for (const char* json :
       {"[1,2,3,4,5,6,7,8]", "[[[1,2],[3,4]],[[5,6],[7,8]]]", "[[1,2,3,4],[5,6,7,8]]",
        "[[[1,2],[3,4]],[5,6,7,8]]", " [ [1 ,2,\n3, 4 ],\t[5,6,7,8 ] ] "}) {
    EXPECT_EQ(read<float>(json, DType::kFloat32, {2, 2, 2}), wanted) << json;
  }
  EXPECT_EQ(read<float>("3.5", DType::kFloat32, {}), std::vector<float>{3.5F});
}

TEST(JsonValues, WrongCountsAndShapesAreRefused) {
  for (const char* json : {"[1,2,3]",
                           "[1,2,3,4,5]",
                           "[[1,2],[3]]",
                           "[[1,2],[3,4],[5,6]]",
                           "[[1,2]]",
                           "[[1,2],3,4]",
                           "[1,2,[3,4]]",
                           "[[[1],[2]],[[3],[4]]]",
                           "1",
                           "{}",
                           "[1,2,3,4",
                           "[1,2,3,4]]",
                           "[1,2,3,4] 5",
                           "[1 2 3 4]",
                           "[1,2,3,]",
                           "[,1,2,3]",
                           "",
                           "[",
                           "[[",
                           "[[1,2],"}) {
    EXPECT_TRUE(float_is_refused(json, {2, 2})) << json;
  }
}

TEST(JsonValues, OnlyNumbersOfTheGrammarAreTaken) {
  for (const char* json : {"[01]",
                           "[+1]",
                           "[.5]",
                           "[5.]",
                           "[1e]",
                           "[1e+]",
                           "[-]",
                           "[0x1]",
                           "[NaN]",
                           "[Infinity]",
                           "[-Infinity]",
                           "[nan]",
                           "[inf]",
                           "[null]",
                           "[true]",
                           "[\"1\"]",
                           "[{\"b64\":\"AAAA\"}]",
                           "[1e39]",
                           "[-1e400]",
                           "[--1]"}) {
    EXPECT_TRUE(float_is_refused(json)) << json;
  }
  EXPECT_EQ(read<float>("[0,-0,1e3,-2.5E-1]", DType::kFloat32, {4}),
            (std::vector<float>{0, 0, 1000, -0.25F}));
  EXPECT_EQ(read<float>("[1e-400,1e-50]", DType::kFloat32, {2}), (std::vector<float>{0, 0}));
}

TEST(JsonValues, IntegersKeepTheirRange) {
  EXPECT_EQ(read<std::int8_t>("[-128,127]", DType::kInt8, {2}),
            (std::vector<std::int8_t>{-128, 127}));
  EXPECT_TRUE(is_refused<std::int8_t>("[128]", DType::kInt8));
  EXPECT_TRUE(is_refused<std::uint8_t>("[-1]", DType::kUInt8));
  EXPECT_TRUE(is_refused<std::int32_t>("[1.0]", DType::kInt32));
  EXPECT_TRUE(is_refused<std::int32_t>("[1e3]", DType::kInt32));
  EXPECT_EQ(read<std::uint64_t>("[18446744073709551615]", DType::kUInt64, {1})[0], UINT64_MAX);
  EXPECT_TRUE(is_refused<std::uint64_t>("[18446744073709551616]", DType::kUInt64));
  EXPECT_EQ(read<std::int64_t>("[-9223372036854775808]", DType::kInt64, {1})[0], INT64_MIN);
}

TEST(JsonValues, BooleansAreWordsOrBits) {
  EXPECT_EQ(read<std::uint8_t>("[true,false,1,0]", DType::kBool, {4}),
            (std::vector<std::uint8_t>{1, 0, 1, 0}));
  EXPECT_TRUE(is_refused<std::uint8_t>("[2]", DType::kBool));
  EXPECT_TRUE(is_refused<std::uint8_t>("[truely]", DType::kBool));
}

TEST(JsonValues, NonfiniteTokensWhereTheyAreAllowed) {
  const auto values = read<float>("[NaN, -Infinity, Infinity]", DType::kFloat32, {3}, true);
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_EQ(values[1], -std::numeric_limits<float>::infinity());
  EXPECT_EQ(values[2], std::numeric_limits<float>::infinity());
}

// The bits of every kind of float survive the way out and in.
TEST(JsonValues, FloatsRoundTrip) {
  std::mt19937 random(3);
  std::vector<float> values{0.1F, 1e-45F, 3.4028235e38F, -0.0F, 1.0F, 16777216.0F};
  while (values.size() < 5000) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (std::isfinite(value)) values.push_back(value);
  }
  std::string text = "[";
  append_json_values(text, DType::kFloat32, std::as_bytes(std::span(values)));
  text += ']';
  const auto back = read<float>(text, DType::kFloat32, {static_cast<std::int64_t>(values.size())});
  EXPECT_EQ(std::memcmp(back.data(), values.data(), values.size() * 4), 0);
}

TEST(JsonValues, HalvesRoundTripAndRound) {
  std::vector<std::uint16_t> halves, bfloats;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    if (std::isfinite(float_of_half(half))) halves.push_back(half);
    if (std::isfinite(float_of_bfloat(half))) bfloats.push_back(half);
  }
  for (const std::uint16_t half : halves) ASSERT_EQ(half_of_float(float_of_half(half)), half);
  for (const std::uint16_t half : bfloats) ASSERT_EQ(bfloat_of_float(float_of_bfloat(half)), half);
  // Known values of IEEE 754.
  EXPECT_EQ(half_of_float(1.0F), 0x3C00);
  EXPECT_EQ(half_of_float(65504.0F), 0x7BFF);
  EXPECT_EQ(half_of_float(0x1p-24F), 0x0001);
  EXPECT_EQ(half_of_float(2049.0F), half_of_float(2048.0F));  // a tie, to even
  EXPECT_EQ(bfloat_of_float(1.0F), 0x3F80);
  EXPECT_TRUE(is_refused<std::uint16_t>("[1e5]", DType::kFloat16));
  EXPECT_EQ(read<std::uint16_t>("[1,-2]", DType::kFloat16, {2}),
            (std::vector<std::uint16_t>{0x3C00, 0xC000}));
}

TEST(JsonText, NumbersAreTheShortest) {
  const std::vector<double> values{0.1, 1, -2.5, 1e300, NAN, INFINITY, -INFINITY};
  std::string text;
  append_json_values(text, DType::kFloat64, std::as_bytes(std::span(values)));
  EXPECT_EQ(text, "0.1,1.0,-2.5,1e+300,NaN,Infinity,-Infinity");
  const std::vector<std::int8_t> small{-1, 65};
  text.clear();
  append_json_array(text, DType::kInt8, std::as_bytes(std::span(small)),
                    std::vector<std::int64_t>{2, 1});
  EXPECT_EQ(text, "[[-1],[65]]");
}

TEST(JsonText, StringsAreValidWhateverTheBytes) {
  std::string text;
  append_json_string(text, "a\"\\\n\x01\xC3\xA4\xFF\xED\xA0\x80");
  EXPECT_EQ(text,
            "\"a\\\"\\\\\\n\\u0001\xC3\xA4\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

TEST(JsonValues, ElementsOfAShapeDoNotOverflow) {
  const auto count = [](std::vector<std::int64_t> shape) { return elements_of(shape, 1000); };
  EXPECT_EQ(count({}), 1);
  EXPECT_EQ(count({3, 4}), 12);
  EXPECT_EQ(count({0, 4}), 0);
  EXPECT_EQ(count({1LL << 40, 1LL << 40}), -1);
  EXPECT_EQ(count({-1, 4}), -1);
  EXPECT_EQ(count({1001}), -1);
}

}  // namespace
}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#include "serve/http/compression.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace batchwise::serve {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string unpacked(std::string_view packed, Coding coding) {
  std::vector<std::byte> plain;
  const auto refusal = unpack(bytes_of(packed), coding, 1 << 20, plain);
  EXPECT_FALSE(refusal) << refusal->message;
  if (refusal) return "";
  return {reinterpret_cast<const char*>(plain.data()), plain.size() - kBodyPadding};
}

TEST(Compression, PacksTheBodyAndItsTail) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += std::to_string(i) + ",";
  for (const Coding coding : {Coding::kGzip, Coding::kDeflate}) {
    Response response;
    response.body = text;
    response.tail = {bytes_of("tail"), bytes_of(text)};
    pack(response, coding);
    EXPECT_LT(response.body.size(), text.size());
    EXPECT_TRUE(response.tail.empty());
    EXPECT_EQ(unpacked(response.body, coding), text + "tail" + text);
  }
}

TEST(Compression, ShortAnswersAndPlainOnesStay) {
  for (const auto& [body, coding] : {std::pair{std::string("short"), Coding::kGzip},
                                     std::pair{std::string(5000, 'a'), Coding::kPlain},
                                     std::pair{std::string(5000, 'a'), Coding::kUnknown}}) {
    Response response;
    response.body = body;
    pack(response, coding);
    EXPECT_EQ(response.body, body);
    EXPECT_EQ(response.fields, "");
  }
}

// "hello" as Python's zlib and gzip write it.
TEST(Compression, UnpacksWhatOthersPacked) {
  EXPECT_EQ(unpacked(std::string("\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15", 13),
                     Coding::kDeflate),
            "hello");
  EXPECT_EQ(unpacked(std::string("\xcb\x48\xcd\xc9\xc9\x07\x00", 7), Coding::kDeflate), "hello");
  EXPECT_EQ(unpacked(std::string("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xcb\x48\xcd\xc9\xc9\x07"
                                 "\x00\x86\xa6\x10\x36\x05\x00\x00\x00",
                                 25),
                     Coding::kGzip),
            "hello");
}

TEST(Compression, BombsAndRubbishAreRefused) {
  Response bomb;
  bomb.body.assign(3 << 20, '\0');
  pack(bomb, Coding::kGzip);
  ASSERT_LT(bomb.body.size(), 100'000U);
  std::vector<std::byte> plain;
  EXPECT_EQ(unpack(bytes_of(bomb.body), Coding::kGzip, 1 << 20, plain)->status, Status::kTooLarge);
  EXPECT_LT(plain.capacity(), std::size_t{3} << 20);
  // Exactly the most is not too large.
  EXPECT_FALSE(unpack(bytes_of(bomb.body), Coding::kGzip, 3 << 20, plain));
  EXPECT_EQ(plain.size(), (std::size_t{3} << 20) + kBodyPadding);
  for (const std::string& wrong :
       {std::string(), std::string("rubbish"), bomb.body.substr(0, 50), bomb.body + "more"}) {
    EXPECT_EQ(unpack(bytes_of(wrong), Coding::kGzip, 8 << 20, plain)->status, Status::kInvalid);
  }
}

}  // namespace
}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#include "serve/config/server_config.h"

#include <gtest/gtest.h>

#include "batchwise/error.h"

namespace batchwise::serve {
namespace {

using Values = std::vector<std::string>;

std::string refusal(const std::string& text) {
  try {
    parse_server_config(text, "serve.toml");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidInput);
    return error.what();
  }
  return "";
}

TEST(ServerConfig, ReadsFlagsInTheOrderOfTheFile) {
  const auto entries = parse_server_config(R"(
http = "127.0.0.1:0"
p99 = "20ms"
max_batch = 64
preferred-sizes = [4, 8]
allow_remote = true
measure-when-idle = false

[[model]]
name = "digits"
path = "digits.onnx"

[[model]]
path = "other.onnx"
)",
                                           "serve.toml");
  ASSERT_EQ(entries.size(), 7u);
  EXPECT_EQ(entries[0].flag, "http");
  EXPECT_EQ(entries[0].values, Values{"127.0.0.1:0"});
  EXPECT_EQ(entries[0].line, 2);
  EXPECT_EQ(entries[1].values, Values{"20ms"});
  EXPECT_EQ(entries[2].flag, "max-batch");
  EXPECT_EQ(entries[2].values, Values{"64"});
  EXPECT_EQ(entries[3].values, (Values{"4", "8"}));
  EXPECT_EQ(entries[4].flag, "allow-remote");
  EXPECT_TRUE(entries[4].values.empty());
  EXPECT_EQ(entries[5].flag, "model");
  EXPECT_EQ(entries[5].values, Values{"digits=digits.onnx"});
  EXPECT_EQ(entries[6].values, Values{"other.onnx"});
}

TEST(ServerConfig, NamesTheLineOfAFault) {
  EXPECT_EQ(refusal("p99 = '1ms'\npolicy = \n").substr(0, 14), "[serve.toml:2]");
  EXPECT_EQ(refusal("\n[http]\nport = 1\n").substr(0, 14), "[serve.toml:2]");
  EXPECT_EQ(refusal("when = 2026-01-01\n").substr(0, 14), "[serve.toml:1]");
  EXPECT_EQ(refusal("[[model]]\nname = 'a'\n").substr(0, 14), "[serve.toml:1]");
  EXPECT_EQ(refusal("[[model]]\nname = 'a'\npaht = 'b'\n").substr(0, 14), "[serve.toml:3]");
  EXPECT_EQ(refusal("p99 = '1ms'\np99 = '2ms'\n").substr(0, 14), "[serve.toml:2]");
}

}  // namespace
}  // namespace batchwise::serve

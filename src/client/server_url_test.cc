// SPDX-License-Identifier: Apache-2.0
#include "client/server_url.h"

#include <gtest/gtest.h>

#include "batchwise/error.h"

namespace batchwise {
namespace {

struct Parsed {
  ClientProtocol protocol{};
  ClientOptions options;
};

Parsed parse(const std::string& url) {
  Parsed parsed;
  parsed.protocol = parse_server_url(url, parsed.options);
  return parsed;
}

TEST(ParseServerUrl, KnowsTheSchemes) {
  EXPECT_EQ(server_name(parse("http://127.0.0.1:8000").options), "127.0.0.1:8000");
  EXPECT_EQ(server_name(parse("localhost").options), "localhost:8000");
  EXPECT_EQ(server_name(parse("127.0.0.1:9/").options), "127.0.0.1:9");
  EXPECT_EQ(server_name(parse("http://[::1]:81").options), "[::1]:81");
  EXPECT_EQ(parse("https://host").options.port, 443);
  EXPECT_TRUE(parse("https://host").options.tls);
  EXPECT_EQ(parse("grpc://host").protocol, ClientProtocol::kGrpc);
  EXPECT_EQ(parse("grpc://host").options.port, 8001);
  EXPECT_TRUE(parse("grpcs://host:1").options.tls);
  EXPECT_EQ(parse("unix:/run/s").options.unix_socket, "/run/s");
  EXPECT_EQ(parse("unix:///run/s").options.unix_socket, "/run/s");
}

TEST(ParseServerUrl, RefusesWhatIsNone) {
  for (const char* const url : {"", "http://", "ftp://host", "http://host:0", "http://host:65536",
                                "http://host:x", "http://host:", "http://host/v2/models", "unix:",
                                "http://[::1", "http://[::1]8", "a b", "http://host\r\nX: y"}) {
    try {
      parse(url);
      ADD_FAILURE() << url;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidInput) << url;
    }
  }
}

}  // namespace
}  // namespace batchwise

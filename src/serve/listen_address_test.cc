// SPDX-License-Identifier: Apache-2.0
#include "serve/listen_address.h"

#include <gmock/gmock.h>

#include <fstream>

#include "batchwise/error.h"
#include "serve/model_files.h"
#include "serve/serving_test.h"

namespace batchwise::serve {
namespace {

TEST(ListenAddress, TellsWhoCanReachIt) {
  for (const char* local :
       {"127.0.0.1:8000", "127.3.2.1:0", "localhost:65535", "[::1]:1", "unix:/tmp/socket"}) {
    EXPECT_TRUE(is_local_address(local, "--http")) << local;
  }
  for (const char* remote : {"0.0.0.0:8000", "[::]:8000", ":8000", "example.org:1", "10.0.0.1:1",
                             "127.example.org:1", "localhost.example.org:1"}) {
    EXPECT_FALSE(is_local_address(remote, "--http")) << remote;
  }
  for (const char* wrong : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
                            "127.0.0.1:80a", "unix:"}) {
    EXPECT_THROW(is_local_address(wrong, "--http"), Error) << wrong;
  }
}

TEST(ApiKeys, AreALineEach) {
  const TestFolder folder;
  std::ofstream(folder / "keys") << "# of the lab\n\nfirst\r\nsecond-key \n";
  EXPECT_THAT(read_api_keys(folder / "keys"), testing::ElementsAre("first", "second-key"));
  std::ofstream(folder / "none") << "# nobody\n";
  EXPECT_THROW(read_api_keys(folder / "none"), Error);
  std::ofstream(folder / "spaces") << "two words\n";
  EXPECT_THROW(read_api_keys(folder / "spaces"), Error);
  EXPECT_THROW(read_api_keys(folder / "missing"), Error);
}

TEST(ModelNames, LeadNowhereElse) {
  for (const char* good : {"mlp", "resnet-50", "a.b_c", "é"}) EXPECT_TRUE(is_model_name(good));
  for (const char* bad : {"", ".", "..", ".a", "a/b", "../a", "a\\b", "a b", "a\nb", "/a"}) {
    EXPECT_FALSE(is_model_name(bad)) << bad;
  }
  EXPECT_FALSE(is_model_name(std::string(300, 'a')));
  EXPECT_FALSE(is_model_name(std::string("a\0b", 3)));
}

}  // namespace
}  // namespace batchwise::serve

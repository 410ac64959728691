// SPDX-License-Identifier: Apache-2.0
#include "serve/http/openapi.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "serve/http/route.h"

namespace batchwise::serve {
namespace {

std::string filled(std::string path) {
  for (const auto& [what, with] : {std::pair{"{model}", "m"}, std::pair{"{version}", "1"}}) {
    const std::size_t at = path.find(what);
    if (at != std::string::npos) path.replace(at, std::string_view(what).size(), with);
  }
  return path;
}

// Each path of the document leads somewhere, with the methods that are taken there, and there is
// one for each endpoint that does something.
TEST(OpenApi, NamesEveryEndpointWithItsMethods) {
  const auto document = nlohmann::json::parse(openapi_document());
  std::set<Endpoint> seen;
  for (const auto& [path, operations] : document["paths"].items()) {
    const Route route = find_route(filled(path));
    ASSERT_NE(route.endpoint, Endpoint::kNone) << path;
    seen.insert(route.endpoint);
    const bool fixed = route.endpoint == Endpoint::kTraceSetting;  // POST only explains
    EXPECT_EQ(operations.contains("get"), allows(route.endpoint, Method::kGet)) << path;
    EXPECT_EQ(operations.contains("post"), allows(route.endpoint, Method::kPost) && !fixed) << path;
  }
  for (int i = 1; i <= static_cast<int>(Endpoint::kTfOther); ++i) {
    const auto endpoint = static_cast<Endpoint>(i);
    const bool refuses = endpoint == Endpoint::kSharedMemory || endpoint == Endpoint::kTfOther;
    EXPECT_EQ(seen.contains(endpoint), !refuses) << i;
  }
}

}  // namespace
}  // namespace batchwise::serve

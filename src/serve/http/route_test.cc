// SPDX-License-Identifier: Apache-2.0
#include "serve/http/route.h"

#include <gtest/gtest.h>

namespace batchwise::serve {
namespace {

struct Case {
  const char* target;
  Endpoint endpoint;
  const char* model;
  const char* version;
};

TEST(Route, FindsEveryEndpoint) {
  const Case cases[] = {
      {"/", Endpoint::kDashboard, "", ""},
      {"/api/snapshot", Endpoint::kSnapshot, "", ""},
      {"/metrics", Endpoint::kMetrics, "", ""},
      {"/openapi.json", Endpoint::kOpenApi, "", ""},
      {"/v2", Endpoint::kServerMetadata, "", ""},
      {"/v2/", Endpoint::kServerMetadata, "", ""},
      {"/v2/health/live", Endpoint::kLive, "", ""},
      {"/v2/health/ready?a=b", Endpoint::kReady, "", ""},
      {"/v2/models/m", Endpoint::kModelMetadata, "m", ""},
      {"/v2/models/m/versions/3", Endpoint::kModelMetadata, "m", "3"},
      {"/v2/models/m/ready", Endpoint::kModelReady, "m", ""},
      {"/v2/models/m/versions/3/ready", Endpoint::kModelReady, "m", "3"},
      {"/v2/models/m/infer", Endpoint::kInfer, "m", ""},
      {"/v2/models/m/versions/12/infer", Endpoint::kInfer, "m", "12"},
      {"/v2/models/a%20b/infer", Endpoint::kInfer, "a b", ""},
      {"/v2/models/m/config", Endpoint::kModelConfig, "m", ""},
      {"/v2/models/stats", Endpoint::kModelStatistics, "", ""},
      {"/v2/models/m/stats", Endpoint::kModelStatistics, "m", ""},
      {"/v2/models/m/trace/setting", Endpoint::kTraceSetting, "m", ""},
      {"/v2/trace/setting", Endpoint::kTraceSetting, "", ""},
      {"/v2/logging", Endpoint::kLogging, "", ""},
      {"/v2/repository/index", Endpoint::kRepositoryIndex, "", ""},
      {"/v2/repository/models/m/load", Endpoint::kRepositoryLoad, "m", ""},
      {"/v2/repository/models/m/unload", Endpoint::kRepositoryUnload, "m", ""},
      {"/v2/systemsharedmemory/status", Endpoint::kSharedMemory, "", ""},
      {"/v2/cudasharedmemory/region/r/register", Endpoint::kSharedMemory, "", ""},
      {"/v1/models/m", Endpoint::kTfStatus, "m", ""},
      {"/v1/models/m/versions/2", Endpoint::kTfStatus, "m", "2"},
      {"/v1/models/m/metadata", Endpoint::kTfMetadata, "m", ""},
      {"/v1/models/m/versions/2/metadata", Endpoint::kTfMetadata, "m", "2"},
      {"/v1/models/m:predict", Endpoint::kTfPredict, "m", ""},
      {"/v1/models/m/versions/2:predict", Endpoint::kTfPredict, "m", "2"},
      {"/v1/models/m:classify", Endpoint::kTfOther, "m", ""},
      {"/v3", Endpoint::kNone, "", ""},
      {"/v2/models", Endpoint::kNone, "", ""},
      {"/v2/models/m/other", Endpoint::kNone, "m", ""},
      {"/v1/models/m:other", Endpoint::kNone, "m", ""},
  };
  for (const Case& each : cases) {
    const Route route = find_route(each.target);
    EXPECT_EQ(route.fault, "") << each.target;
    EXPECT_EQ(route.endpoint, each.endpoint) << each.target;
    if (each.endpoint == Endpoint::kNone) continue;
    EXPECT_EQ(route.model, each.model) << each.target;
    EXPECT_EQ(route.version, each.version) << each.target;
  }
}

TEST(Route, TricksAreRefused) {
  for (const char* target :
       {"/v2/models/../infer", "/v2/models/%2e%2e/infer", "/v2/models/a%2Fb/infer",
        "/v2/models/..%2f..%2fetc%2fpasswd", "/v2/models/a%5Cb", "/v2/models/a%00b",
        "/v2/models/%0A", "/v2/models/%zz", "/v2/models/%4", "v2", "*", "", "http://host/v2",
        "/v2/models/m/versions/x", "/v2/models/m/versions/-1/infer",
        "/v1/models/m/versions/..:predict"}) {
    const Route route = find_route(target);
    EXPECT_NE(route.fault, "") << target;
    EXPECT_EQ(route.endpoint, Endpoint::kNone) << target;
  }
}

TEST(Route, MethodsAreThoseOfTheEndpoint) {
  EXPECT_TRUE(allows(Endpoint::kInfer, Method::kPost));
  EXPECT_FALSE(allows(Endpoint::kInfer, Method::kGet));
  EXPECT_TRUE(allows(Endpoint::kLive, Method::kHead));
  EXPECT_FALSE(allows(Endpoint::kLive, Method::kPost));
  EXPECT_TRUE(allows(Endpoint::kLogging, Method::kPost));
  EXPECT_FALSE(allows(Endpoint::kLive, Method::kOther));
}

}  // namespace
}  // namespace batchwise::serve

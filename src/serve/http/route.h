// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>

#include "serve/http/message.h"

namespace batchwise::serve {

enum class Endpoint : std::uint8_t {
  kNone,  // 404
  kDashboard,
  kSnapshot,
  kMetrics,
  kOpenApi,
  kLive,
  kReady,
  kServerMetadata,
  kModelMetadata,
  kModelReady,
  kModelConfig,
  kModelStatistics,
  kInfer,
  kRepositoryIndex,
  kRepositoryLoad,
  kRepositoryUnload,
  kTraceSetting,
  kLogging,
  kSharedMemory,
  kTfStatus,
  kTfMetadata,
  kTfPredict,
  kTfOther,  // :classify, :regress
};

// Where a request goes. A plain value.
struct Route {
  Endpoint endpoint = Endpoint::kNone;
  std::string model, version;
  // Not empty: the path is none that may be asked for, with a 400.
  std::string fault;
};

// Reads a request's target, "/v2/models/m/infer?x=y": cuts it, decodes each part by itself, and
// refuses names that would be a path.
Route find_route(std::string_view target);

// The methods an endpoint knows, as the field Allow has them; HEAD goes where GET does.
std::string_view allowed_methods(Endpoint endpoint);
bool allows(Endpoint endpoint, Method method);

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

namespace batchwise {
extern const std::string_view kOpenApiDocument;
}  // namespace batchwise

namespace batchwise::serve {

// GET /openapi.json: all of the endpoints, as OpenAPI 3 describes them.
inline std::string_view openapi_document() { return kOpenApiDocument; }

}  // namespace batchwise::serve

// SPDX-License-Identifier: Apache-2.0
#include "serve/http/dashboard.h"

namespace batchwise::serve {

std::string_view dashboard_page() {
  return R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Batchwise</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><h1>Batchwise</h1><ul>
<li><a href="/v2">server</a></li>
<li><a href="/v2/models/stats">statistics</a></li>
<li><a href="/metrics">metrics</a></li>
<li><a href="/api/snapshot">snapshot</a></li>
<li><a href="/openapi.json">OpenAPI</a></li>
</ul></body></html>
)";
}

}  // namespace batchwise::serve

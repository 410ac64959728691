// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

namespace batchwise {

// The files of web/dashboard/ and Chart.js as one page of HTML, embedded when this was built
// (cmake/dashboard_page.cmake). Asks its server for api/snapshot and v2/models/..., relative to
// where it is itself, with the key as Authorization: Bearer; a 401 makes it ask for one.
extern const std::string_view kDashboardPage;

}  // namespace batchwise

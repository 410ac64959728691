// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

// The files of web/report/ and Chart.js, embedded when this was built (cmake/embed_text.cmake).
namespace batchwise {

extern const std::string_view kReportStyle;
extern const std::string_view kDrawingScript;
extern const std::string_view kServeScript;
extern const std::string_view kReportScript;
extern const std::string_view kChartScript;

}  // namespace batchwise

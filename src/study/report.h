// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>

#include "study/study_result.h"

namespace batchwise {

// The study as one HTML page that needs nothing else: style, script, Chart.js and the values are
// inside, and a content security policy forbids the network. Every string of the user's is escaped.
std::string render_report(const StudyResult& result);

// How many charts (canvases) render_report draws for this study; the page's meta tag says the same.
std::int64_t num_report_charts(const StudyResult& result);

}  // namespace batchwise

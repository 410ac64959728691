// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "study/study_result.h"

namespace batchwise {

// The three answers for each model, with their neighbours and the commands to run next, as aligned
// text for a terminal.
std::string render_summary(const StudyResult& result);

}  // namespace batchwise

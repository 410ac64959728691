// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "study/study_context.h"

// What a study is given, read and checked; nothing is written.
namespace batchwise {

// `options` with its defaults filled in. Throws Error naming what is wrong.
StudyOptions checked_options(StudyOptions options);
StudyData open_study_data(const StudyOptions& options);
// Throws Error where a model cannot be read, does not fit the data or cannot be trained on it.
std::vector<StudiedModel> open_models(const StudyOptions& options, const StudyData& data);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "study/study_result.h"

// What to recommend, as pure functions of what was measured.
namespace batchwise {

// One row for each batch size of the runs, rising, from the last points of their curves. peak_bytes
// and micro_batch are left to the caller.
std::vector<FitRow> summarize_fit_runs(const std::vector<FitRun>& runs, bool higher_is_better);

// The answer for Predict from its rows: the knee, and what its neighbours would have given.
// `command` is left to the caller.
Recommendation recommend_predict(const PredictChapter& chapter);
// The answer for Serve: the layout and the batch limit of the largest rate under the p99 limit.
// Neighbours are the batch limits beside it, and the other layouts with what is best for them.
Recommendation recommend_serve(const ServeChapter& chapter);
// The answer for Fit: the least time among sizes that are good enough.
Recommendation recommend_fit(const FitChapter& chapter);

}  // namespace batchwise

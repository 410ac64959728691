// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "batching/choose_serving.h"
#include "study/study_context.h"

// What the layouts of the cores cost, measured.
namespace batchwise {

// The layouts of the study's threads with the times of their batches: what the store has of them,
// else measured, all layouts and sizes in turn. Sizes that no request would wait for, or that do
// not fit into the time or the memory, are left out.
std::vector<ServeLayout> measure_layouts(const StudyContext& context, const StudiedModel& model,
                                         double seconds);
// Adds what the server spends beside the model: from what it answers at most, batch by batch.
void measure_overhead(const StudyContext& context, const StudiedModel& model,
                      const LoadedSamples& samples, double seconds,
                      std::vector<ServeLayout>* layouts);

// As the choice takes it. Requires: the layout has rows.
ServingLayout serving_layout(const ServeLayout& layout);
// What a process with the model holds whatever runs: weights, packed weights, tables.
std::int64_t shared_bytes(const StudyContext& context, const StudiedModel& model);

}  // namespace batchwise

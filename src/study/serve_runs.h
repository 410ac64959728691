// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "batching/scheduler.h"
#include "study/study_context.h"

// Real load on the real server.
namespace batchwise {

// The policies that a study compares: ours first.
const std::vector<Policy>& served_policies();
// The rates, as shares of the largest one.
const std::vector<double>& served_shares();

struct ServeLoad {
  Policy policy = Policy::kDeadline;
  SchedulerOptions scheduler;
};

// Runs the chapter's chosen layout under Poisson load at some shares of its largest rate, with each
// policy, in several blocks in turn; blocks that the store has are not run again. `simulated` of
// the runs is left to the caller. Throws Error{kNo} where the server does not fit into the memory.
std::vector<ServeRun> run_loads(const StudyContext& context, const StudiedModel& model,
                                const LoadedSamples& samples, const ServeChapter& chapter,
                                const std::vector<ServeLoad>& loads, double seconds);

// Latencies to three digits, with how often each came.
std::vector<StoredLatency> rounded_latencies(const std::vector<double>& us, std::int64_t repeat);

}  // namespace batchwise

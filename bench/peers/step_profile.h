// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "peers/workload.h"

namespace batchwise::bench {

// A table of the steps of one micro-batch: kernel, shape, microseconds, share, GFLOP/s and GB/s of
// the bytes named by the graph; several lines.
std::string profile_predict(LoadedModel& model, std::int64_t batch);
// The same of a training step's programs: one micro-batch, then the update.
std::string profile_fit(LoadedModel& model, std::int64_t batch);

}  // namespace batchwise::bench

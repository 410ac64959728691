// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "measure/batch_laws.h"
#include "study/chapters.h"

namespace batchwise {

// How many samples each run sees: whole epochs where it is one or more.
struct FitAmount {
  std::int64_t epochs = 0;   // 0: less than one
  std::int64_t samples = 0;  // of all epochs
};
// About what `seconds` allow for all sizes and seeds, from the measured time of a few steps of each
// size; at most 10 epochs.
FitAmount choose_fit_amount(const StudyContext& context, const StudiedModel& model,
                            const std::vector<std::int64_t>& batch_sizes, double seconds);

// What a run left behind.
struct FinishedRun {
  FitRun run;
  std::int64_t micro_batch = 0;
  std::int64_t peak_bytes = 0;
  std::string weights_sha256;
  std::optional<Graph> trained;        // the exported model, where it was run now
  std::optional<GradientNoise> noise;  // mean over steps
  std::int64_t lanes = 1;
};

// Trains once. `watch_gradients` measures the gradients of the lanes too, which takes time.
FinishedRun run_one_fit(const StudyContext& context, const StudiedModel& model,
                        std::int64_t batch_size, std::uint64_t seed, const FitAmount& amount,
                        bool watch_gradients);

}  // namespace batchwise

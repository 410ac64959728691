// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>

#include "fit/fit_use.h"
#include "study/study_context.h"

// The chapters of a study: each measures what the store does not have yet, and returns its values.
namespace batchwise {

MemoryChapter memory_chapter(const StudyContext& context, const StudiedModel& model);

// `seconds` is about what measuring may take.
PredictChapter predict_chapter(const StudyContext& context, const StudiedModel& model,
                               double seconds);

// What a server of the model would do: layouts of the cores, the largest rates under the p99 limit,
// the policies, and real load beside what the simulator says. `seconds` as above. Nothing where the
// model cannot be served; `why_not` then says so.
std::optional<ServeChapter> serve_chapter(const StudyContext& context, const StudiedModel& model,
                                          double seconds, std::string* why_not);

// The weights of a run: kept from it, or trained again where the run is from an earlier study. The
// same either way.
struct TrainedModel {
  std::int64_t batch_size = 0;
  std::uint64_t seed = 0;
  std::function<Graph()> graph;
};

struct FitOutcome {
  FitChapter chapter;
  std::int64_t epochs = 0;              // of each run; 0: less than one
  std::int64_t samples_seen = 0;        // by each run, about
  std::optional<TrainedModel> trained;  // the run with the best final metric
};
FitOutcome fit_chapter(const StudyContext& context, const StudiedModel& model, double seconds);

// `trained`: nothing where weights are as in the file. Nothing is returned where the model mixes
// samples, so that only a batch of 1 is right.
std::optional<AccuracyChapter> accuracy_chapter(const StudyContext& context,
                                                const StudiedModel& model,
                                                const std::optional<TrainedModel>& trained);

// The sizes that the fits are run with.
std::vector<std::int64_t> fit_batch_sizes(const StudyOptions& options, std::int64_t train_samples);
// How the study fits at one batch size: all that prepare_fit() wants.
FitSettings fit_settings(const StudyContext& context, std::int64_t batch_size, std::uint64_t seed);

}  // namespace batchwise

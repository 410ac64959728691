// SPDX-License-Identifier: Apache-2.0
#include "fit/choose_micro_batch.h"

#include <algorithm>
#include <vector>

namespace batchwise {
namespace {

TrainingOptions with_micro_batch(TrainingOptions options, std::int64_t micro_batch) {
  options.micro_batch = micro_batch;
  return options;
}

}  // namespace

std::int64_t choose_training_micro_batch(const std::shared_ptr<const TrainableModel>& model,
                                         const TrainingOptions& options,
                                         const MachineSpeed& machine,
                                         const std::function<bool(const TrainingSession&)>& fits) {
  struct Candidate {
    std::int64_t size;
    double us_per_sample;
  };
  std::vector<Candidate> candidates;
  double best = 0;
  for (std::int64_t wanted = 1;; wanted *= 2) {
    const TrainingSession planned(model, with_micro_batch(options, wanted), true);
    const std::int64_t size = planned.micro_batch();
    if (!candidates.empty() && size == candidates.back().size) {
      if (wanted >= options.batch_size) break;
      continue;
    }
    if (!fits(planned)) break;
    const double us = planned.estimate_us_per_sample(machine);
    best = candidates.empty() ? us : std::min(best, us);
    candidates.push_back({size, us});
    if (wanted >= options.batch_size) break;
  }
  for (const Candidate& candidate : candidates) {
    if (candidate.us_per_sample <= 1.02 * best) return candidate.size;
  }
  return 0;
}

std::int64_t largest_training_micro_batch(const std::shared_ptr<const TrainableModel>& model,
                                          const TrainingOptions& options,
                                          const std::function<bool(const TrainingSession&)>& fits) {
  return largest_that_fits(options.batch_size, [&](std::int64_t size) {
    return fits(TrainingSession(model, with_micro_batch(options, size), true));
  });
}

}  // namespace batchwise

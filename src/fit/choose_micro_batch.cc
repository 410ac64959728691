// SPDX-License-Identifier: Apache-2.0
#include "fit/choose_micro_batch.h"

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
  std::vector<MicroBatchCost> candidates;
  for (std::int64_t wanted = 1;; wanted *= 2) {
    const TrainingSession planned(model, with_micro_batch(options, wanted), true);
    const std::int64_t size = planned.micro_batch();
    if (!candidates.empty() && size == candidates.back().size) {
      if (wanted >= options.batch_size) break;
      continue;
    }
    if (!fits(planned)) break;
    candidates.push_back({size, planned.estimate_us_per_sample(machine)});
    if (wanted >= options.batch_size) break;
  }
  return choose_size(candidates);
}

std::int64_t largest_training_micro_batch(const std::shared_ptr<const TrainableModel>& model,
                                          const TrainingOptions& options,
                                          const std::function<bool(const TrainingSession&)>& fits) {
  return largest_that_fits(options.batch_size, [&](std::int64_t size) {
    return fits(TrainingSession(model, with_micro_batch(options, size), true));
  });
}

}  // namespace batchwise

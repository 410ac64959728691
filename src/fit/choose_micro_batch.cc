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
  const std::int64_t granule = model->normalizes_batch ? options.ghost_batch : 1;
  std::vector<MicroBatchCost> costs;
  const auto add = [&](std::int64_t wanted) {
    const std::int64_t size = even_micro_batch(options.batch_size, granule, wanted);
    const TrainingSession planned(model, with_micro_batch(options, size), true);
    if (!fits(planned)) return false;
    costs.push_back({planned.micro_batch(), planned.estimate_us_per_sample(machine)});
    return true;
  };
  std::int64_t before = 0;
  for (std::int64_t wanted = 1; wanted < 2 * options.batch_size; wanted *= 2) {
    const std::int64_t size = even_micro_batch(options.batch_size, granule, wanted);
    if (size == before) continue;
    before = size;
    if (add(wanted)) continue;
    // The memory ends between two sizes: most is gained by all of it.
    const std::int64_t largest = largest_training_micro_batch(model, options, fits);
    if (largest > 0) add(largest);
    break;
  }
  return choose_size(costs);
}

std::int64_t largest_training_micro_batch(const std::shared_ptr<const TrainableModel>& model,
                                          const TrainingOptions& options,
                                          const std::function<bool(const TrainingSession&)>& fits) {
  return largest_that_fits(options.batch_size, [&](std::int64_t size) {
    return fits(TrainingSession(model, with_micro_batch(options, size), true));
  });
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <memory>

#include "batching/cost_model.h"
#include "fit/training_session.h"

namespace batchwise {

// The micro-batch that `fit` takes on its own: the smallest whose estimated time a sample is within
// 2 % of the best, among those that `fits` accepts; 0 where none does. A pure function of model,
// options and machine: nothing is run.
std::int64_t choose_training_micro_batch(const std::shared_ptr<const TrainableModel>& model,
                                         const TrainingOptions& options,
                                         const MachineSpeed& machine,
                                         const std::function<bool(const TrainingSession&)>& fits);

// The largest micro-batch that `fits` accepts, for the message of a refusal; 0 where none does.
std::int64_t largest_training_micro_batch(const std::shared_ptr<const TrainableModel>& model,
                                          const TrainingOptions& options,
                                          const std::function<bool(const TrainingSession&)>& fits);

}  // namespace batchwise

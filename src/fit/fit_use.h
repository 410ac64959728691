// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>

#include "batching/memory_room.h"
#include "batchwise/fit.h"
#include "fit/fit.h"

namespace batchwise {

// What the settings mean for a model and data: checked and complete, with the memory it takes.
struct FitUse {
  std::shared_ptr<const TrainableModel> model;
  Graph exported;  // the model as it will be written, with its initial weights
  FitOptions options;
  Validation validation;
  std::string metric_name;
  MemoryParts parts;
  MemoryRoom room;
};

// `validation` is the test split, or null. Notes on what was decided go to `note`.
FitUse prepare_fit(const Graph& source, const DataSource& train, const DataSource* validation,
                   const FitSettings& settings,
                   const std::function<void(const std::string&)>& note);

// What would happen, without a step run. `data` is what it would train on, null where that is not
// known; `validation` is the test split, or null.
Explanation explain_fit(const Graph& source, const DataSource* data, const DataSource* validation,
                        const ExplainOptions& options);

// Trains and writes `output`; prepare_fit() made `use`.
FitReport run_fit_use(FitUse use, const DataSource& train, const std::string& output,
                      const FitSettings& settings, const FitEvents& events);

}  // namespace batchwise

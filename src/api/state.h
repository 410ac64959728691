// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <mutex>
#include <string>

#include "batchwise/dataset.h"
#include "batchwise/model.h"
#include "data/data_source.h"
#include "data/data_spec.h"
#include "engine/model.h"

namespace batchwise {

struct Model::State {
  std::string path;
  Graph source;
  // Why the batch could not be freed; empty where it is free.
  std::string fixed_batch;

  // The model prepared for inference, made on first use. Throws Error where an op is unsupported.
  std::shared_ptr<const EngineModel> engine() const;

 private:
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const EngineModel> engine_;  // guarded by mutex_
};

struct Dataset::State {
  DataSpec spec;
  std::string path;  // with the split
  std::shared_ptr<const DataSource> source;
};

std::shared_ptr<const Model::State> make_model_state(Graph graph, std::string path,
                                                     std::string fixed_batch);

// The test split of data that was opened by its training split; null where there is none.
std::shared_ptr<const DataSource> find_test_split(const Dataset& data);
// The samples as fit wants them: where there is no test split, those to validate with at the end.
std::shared_ptr<const DataSource> source_for_fit(const Dataset& data, bool has_test_split,
                                                 double validation_split);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "batchwise/fit.h"

#include <algorithm>

#include "api/state.h"
#include "base/check.h"
#include "data/parted_source.h"
#include "fit/fit_use.h"

namespace batchwise {

std::shared_ptr<const DataSource> find_test_split(const Dataset& data) {
  const DataSpec& spec = data.state().spec;
  if (spec.split != "train") return nullptr;
  const auto splits = available_splits(spec.path);
  if (std::find(splits.begin(), splits.end(), "test") == splits.end()) return nullptr;
  DataSpec test = spec;
  test.split = "test";
  test.limit = -1;
  return open_data(test);
}

std::shared_ptr<const DataSource> source_for_fit(const Dataset& data, bool has_test_split,
                                                 double validation_split) {
  if (has_test_split || validation_split == 0) return data.state().source;
  return std::make_shared<PartedSource>(data.state().source, validation_split);
}

FitReport fit(const Model& model, const Dataset& data, const std::string& output,
              const FitSettings& settings, const FitEvents& events) {
  if (!model.state()->fixed_batch.empty()) {
    fail_input(model.state()->path, "its batch is fixed: {}", model.state()->fixed_batch);
  }
  const auto test = find_test_split(data);
  const auto train = source_for_fit(data, test != nullptr, settings.validation_split);
  return run_fit_use(
      prepare_fit(model.state()->source, *train, test.get(), settings, events.on_note), *train,
      output, settings, events);
}

}  // namespace batchwise

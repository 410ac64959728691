// SPDX-License-Identifier: Apache-2.0
#include "batchwise/explain.h"

#include <algorithm>
#include <chrono>

#include "api/state.h"
#include "base/check.h"
#include "binding/model_shaped_source.h"
#include "fit/fit_use.h"
#include "predict/run_predict.h"

namespace batchwise {
namespace {

void check_options(const Model::State& model, const ExplainOptions& options) {
  for (std::int64_t size : options.batch_sizes) {
    if (size < 0) fail_input("--batch-size", "{} is below 1", size);
    if (size > 1 && !model.fixed_batch.empty()) {
      throw Error(ErrorCode::kInvalidInput,
                  fmt::format("[{}] its batch is fixed: {}", model.path, model.fixed_batch),
                  "explain it with --batch-size 1");
    }
  }
  if (options.micro_batch < 0) fail_input("--micro-batch", "{} is below 1", options.micro_batch);
}

// The sizes that were asked for, or those that the model can have of the usual ones.
std::vector<std::int64_t> sizes_to_explain(const Model::State& model,
                                           const ExplainOptions& options) {
  if (!options.batch_sizes.empty()) return options.batch_sizes;
  const bool alone = !model.fixed_batch.empty() ||
                     (options.use == Use::kPredict && !model.engine()->mixes_samples().empty());
  return alone ? std::vector<std::int64_t>{1} : std::vector<std::int64_t>{1, 32, 512};
}

}  // namespace

Explanation Model::explain(const ExplainOptions& given, const Dataset* data) const {
  check_options(*state_, given);
  ExplainOptions options = given;
  options.batch_sizes = sizes_to_explain(*state_, given);
  const std::int64_t most =
      *std::max_element(options.batch_sizes.begin(), options.batch_sizes.end());
  const ModelShapedSource shaped(state_->source, std::max<std::int64_t>(most, 512));
  const DataSource& source = data != nullptr ? *data->state().source : shaped;
  if (options.use == Use::kFit) {
    const auto test = data != nullptr ? find_test_split(*data) : nullptr;
    if (data == nullptr) return explain_fit(state_->source, nullptr, nullptr, options);
    const auto train = source_for_fit(*data, test != nullptr, options.validation_split);
    return explain_fit(state_->source, train.get(), test.get(), options);
  }
  const auto engine = state_->engine();
  Explanation explanation = explain_predict(*engine, source, options);
  if (options.time) time_predict(*engine, thread_count(options.resources), explanation);
  return explanation;
}

}  // namespace batchwise

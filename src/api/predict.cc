// SPDX-License-Identifier: Apache-2.0
#include "batchwise/predict.h"

#include "api/state.h"
#include "base/check.h"
#include "binding/data_binding.h"
#include "predict/run_predict.h"

namespace batchwise {
namespace {

// The engine's model, refused where a batch that could not be freed is asked to be larger.
std::shared_ptr<const EngineModel> engine_for(const Model& model, std::int64_t batch_size,
                                              std::int64_t micro_batch) {
  const std::string& fixed = model.state()->fixed_batch;
  if (!fixed.empty() && (batch_size > 1 || micro_batch > 1)) {
    throw Error(ErrorCode::kInvalidInput,
                fmt::format("[{}] its batch is fixed: {}", model.state()->path, fixed),
                "run it with --batch-size 1");
  }
  return model.state()->engine();
}

void check_sizes(std::int64_t batch_size, std::int64_t micro_batch) {
  if (batch_size < 0) fail_input("--batch-size", "{} is below 1", batch_size);
  if (micro_batch < 0) fail_input("--micro-batch", "{} is below 1", micro_batch);
}

bool holds_many(const std::string& path) { return path.size() > 4 && path.ends_with(".npz"); }

}  // namespace

PredictReport predict(const Model& model, const Dataset& data, const PredictSink& sink,
                      const PredictOptions& options) {
  check_sizes(options.batch_size, options.micro_batch);
  const auto engine = engine_for(model, options.batch_size, options.micro_batch);
  const std::vector<std::size_t> picked = pick_outputs(*engine, options.output_name);
  const std::vector<OutputInfo> infos = output_infos(*engine);
  std::vector<ConstTensorView> views;
  for (std::size_t o : picked) {
    std::vector<std::int64_t> shape = infos[o].shape.dims();
    shape.insert(shape.begin(), 0);
    views.push_back({infos[o].dtype, std::move(shape), nullptr});
  }
  return run_predict(engine, *data.state().source, options, picked,
                     [&](std::span<const std::byte* const> outputs, std::int64_t rows) {
                       for (std::size_t o = 0; o < views.size(); ++o) {
                         views[o].shape[0] = rows;
                         views[o].data = outputs[o];
                       }
                       sink(views);
                     });
}

PredictReport predict_to_file(const Model& model, const Dataset& data, const std::string& path,
                              const PredictOptions& options) {
  check_sizes(options.batch_size, options.micro_batch);
  const auto engine = engine_for(model, options.batch_size, options.micro_batch);
  bind_data(engine->source(), *data.state().source);
  std::vector<std::size_t> picked = pick_outputs(*engine, options.output_name);
  if (!holds_many(path)) picked.resize(1);
  const std::vector<OutputInfo> all = output_infos(*engine);
  std::vector<OutputInfo> infos;
  for (std::size_t o : picked) infos.push_back(all[o]);
  const auto writer = open_output(path, infos, data.num_samples());
  PredictReport report = run_predict(engine, *data.state().source, options, picked,
                                     [&](std::span<const std::byte* const> outputs,
                                         std::int64_t rows) { writer->append(outputs, rows); });
  writer->finish();
  return report;
}

EvaluateReport evaluate(const Model& model, const Dataset& data, const EvaluateOptions& options) {
  check_sizes(options.batch_size, options.micro_batch);
  engine_for(model, options.batch_size, options.micro_batch);
  return run_evaluate(model.state()->source, *data.state().source, options);
}

}  // namespace batchwise

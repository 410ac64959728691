// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/check.h"
#include "metrics/compare.h"
#include "predict/run_predict.h"
#include "study/chapters.h"
#include "study/study_json.h"

namespace batchwise {
namespace {

constexpr std::int64_t kMostSamples = 2000;
constexpr std::int64_t kSizes[] = {2, 10, 32, 128, 512};

// The outputs of all samples, batch by batch.
struct AllOutputs {
  std::vector<std::vector<std::byte>> values;  // by output

  std::vector<const std::byte*> pointers() const {
    std::vector<const std::byte*> all;
    for (const auto& output : values) all.push_back(output.data());
    return all;
  }
};

AllOutputs run_all(const std::shared_ptr<const EngineModel>& model, const LoadedSamples& samples,
                   std::int64_t batch, int threads) {
  Predictor predictor(model, batch, threads);
  AllOutputs all;
  std::vector<void*> outputs;
  for (std::size_t o = 0; o < model->source().outputs.size(); ++o) {
    all.values.emplace_back(static_cast<std::size_t>(predictor.output_bytes(o) * samples.count));
  }
  // Batch by batch, the last one as it falls: no even cut.
  for (std::int64_t first = 0; first < samples.count; first += batch) {
    const std::int64_t count = std::min(batch, samples.count - first);
    std::vector<const void*> inputs;
    std::vector<void*> targets;
    for (std::size_t i = 0; i < samples.features.size(); ++i) {
      inputs.push_back(samples.features[i].data() + first * predictor.input_bytes(i));
    }
    for (std::size_t o = 0; o < all.values.size(); ++o) {
      targets.push_back(all.values[o].data() + first * predictor.output_bytes(o));
    }
    predictor.run(inputs, count, targets);
  }
  return all;
}

AccuracyRow compare(const EngineModel& model, const AllOutputs& control, const AllOutputs& batched,
                    std::int64_t batch, std::int64_t samples) {
  std::vector<OutputComparator::Output> outputs;
  for (const OutputInfo& info : output_infos(model)) {
    outputs.push_back({info.shape.elements(), info.dtype});
  }
  OutputComparator comparator(outputs);
  comparator.add(control.pointers(), batched.pointers(), samples);
  const Comparison& found = comparator.result();
  AccuracyRow row;
  row.batch_size = batch;
  row.samples = found.samples;
  row.differing_samples = found.differing_samples;
  row.differing_values = found.differing_values;
  row.max_abs_error = found.max_abs_error;
  row.max_ulp = static_cast<std::int64_t>(found.max_ulp);
  row.changed_classes = found.changed_classes;
  return row;
}

std::vector<AccuracyRow> measure(const StudyContext& context, const StudiedModel& model,
                                 const std::shared_ptr<const EngineModel>& engine,
                                 const LoadedSamples& samples) {
  context.report(model, "Accuracy", "batch 1, the control");
  const AllOutputs control = run_all(engine, samples, 1, context.threads());
  std::vector<AccuracyRow> rows;
  for (std::int64_t batch : kSizes) {
    if (batch > samples.count) break;
    context.check_stop();
    context.report(model, "Accuracy", fmt::format("batch {}", batch));
    const AllOutputs batched = run_all(engine, samples, batch, context.threads());
    rows.push_back(compare(*engine, control, batched, batch, samples.count));
  }
  return rows;
}

}  // namespace

std::optional<AccuracyChapter> accuracy_chapter(const StudyContext& context,
                                                const StudiedModel& model,
                                                const std::optional<TrainedModel>& trained) {
  if (!model.engine->mixes_samples().empty()) return std::nullopt;
  AccuracyChapter chapter;
  chapter.trained_weights = trained.has_value();
  const StudyData& data = context.data();
  const SampleRange range{
      data.validation_range.begin,
      std::min(data.validation_range.end, data.validation_range.begin + kMostSamples)};
  const std::string key =
      fmt::format("accuracy/{}/weights={}/samples={}/threads={}", model.key,
                  trained ? fmt::format("fit-{}-{}", trained->batch_size, trained->seed) : "file",
                  range.count(), context.threads());
  if (const auto kept = context.store().load(key)) {
    chapter.rows = nlohmann::json::parse(*kept).get<std::vector<AccuracyRow>>();
    return chapter;
  }
  const Stopwatch watch;
  const auto engine = trained
                          ? std::make_shared<const EngineModel>(trained->graph(), ModelOptions{})
                          : model.engine;
  chapter.rows = measure(context, model, engine,
                         load_samples(engine->source(), data.validation(), range, range.count()));
  FinishedExperiment experiment{
      key, "accuracy", model.info.name, nlohmann::json(chapter.rows).dump(), watch.seconds(),
      {},  {}};
  for (const AccuracyRow& row : chapter.rows) {
    experiment.measurements.push_back({"differing samples", row.batch_size,
                                       static_cast<double>(row.differing_samples), "samples"});
  }
  context.store().save(experiment);
  return chapter;
}

}  // namespace batchwise

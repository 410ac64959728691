// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/check.h"
#include "batching/memory_room.h"
#include "measure/batch_laws.h"
#include "predict/run_predict.h"
#include "study/chapters.h"
#include "study/report_text.h"
#include "study/study_json.h"

namespace batchwise {
namespace {

// A size whose calls are so long that fewer than this fit into the chapter's time is left out.
constexpr double kLeastCalls = 12;

// A predictor over samples in memory, with room for its outputs.
class PredictCandidate {
 public:
  PredictCandidate(const StudiedModel& model, const LoadedSamples& samples, PredictRow row,
                   const std::shared_ptr<ThreadPool>& pool)
      : row_(row),
        inputs_(samples.pointers()),
        predictor_(model.engine, row.micro_batch, pool->threads(), pool) {
    for (std::size_t o = 0; o < model.engine->source().outputs.size(); ++o) {
      memory_.emplace_back(predictor_.output_bytes(o) * row.batch_size);
      outputs_.push_back(memory_.back().data());
    }
  }
  void run() { predictor_.run(inputs_, row_.batch_size, outputs_); }
  const PredictRow& row() const { return row_; }

 private:
  PredictRow row_;
  std::vector<const void*> inputs_;
  Predictor predictor_;
  std::vector<MappedBuffer> memory_;
  std::vector<void*> outputs_;
};

std::string key_of(const StudyContext& context, const StudiedModel& model, const PredictRow& row) {
  return fmt::format("predict/{}/batch={}{}/threads={}", model.key, row.batch_size,
                     row.automatic ? "/auto" : "", context.threads());
}

// The sizes to measure, with the planned peak of each.
std::vector<PredictRow> rows_to_measure(const StudyContext& context, const StudiedModel& model,
                                        std::int64_t most) {
  const DataSource& data = context.data().validation();
  const MemoryRoom room = memory_room(context.options().resources);
  std::vector<PredictRow> rows;
  for (std::int64_t batch : context.options().predict_batch_sizes) {
    if (batch > most) continue;
    const PredictPlan plan =
        plan_micro_batch(*model.engine, data, batch, batch, context.threads(), false);
    if (!room.fits(plan.parts.total())) break;
    PredictRow row;
    row.batch_size = row.micro_batch = batch;
    row.peak_bytes = plan.parts.total();
    rows.push_back(row);
  }
  if (rows.empty()) return rows;
  const PredictPlan plan = choose_predict_plan(
      *model.engine, data, {rows.back().batch_size, 0, false, false}, context.options().resources);
  PredictRow automatic;
  automatic.automatic = true;
  automatic.batch_size = rows.back().batch_size;
  automatic.micro_batch = std::min(plan.micro_batch, automatic.batch_size);
  automatic.peak_bytes = plan.parts.total();
  rows.push_back(automatic);
  return rows;
}

// The largest size of which a few calls can be made in the time, by the time of one sample.
std::int64_t largest_in_time(const StudyContext& context, const StudiedModel& model,
                             double seconds) {
  const std::vector<std::int64_t>& sizes = context.options().predict_batch_sizes;
  if (!model.engine->mixes_samples().empty()) return 1;
  const LoadedSamples sample = load_samples(model.graph, context.data().validation(),
                                            {0, context.data().validation().num_samples()}, 1);
  PredictRow row;
  row.batch_size = row.micro_batch = 1;
  PredictCandidate one(model, sample, row, std::make_shared<ThreadPool>(context.threads()));
  one.run();
  const Stopwatch watch;
  one.run();
  std::int64_t most = sizes.front(), samples = 0;
  for (std::int64_t size : sizes) {
    samples += size;
    if (watch.seconds() >= 0 &&
        static_cast<double>(samples) * watch.seconds() * kLeastCalls < seconds) {
      most = size;
    }
  }
  return most;
}

PredictRow finished_row(PredictRow row, const Samples& samples) {
  row.us = samples.median();
  row.p99_us = samples.p99();
  row.repeats = samples.repeats();
  return row;
}

void keep(const StudyContext& context, const StudiedModel& model, const PredictRow& row,
          const Samples& samples) {
  FinishedExperiment experiment;
  experiment.key = key_of(context, model, row);
  experiment.chapter = "predict";
  experiment.model = model.info.name;
  experiment.outcome = nlohmann::json(row).dump();
  for (std::size_t i = 0; i < samples.us.size(); ++i) {
    experiment.measurements.push_back(
        {"time a call", static_cast<std::int64_t>(i), samples.us[i], "us"});
    experiment.seconds += samples.us[i] * 1e-6 * static_cast<double>(samples.calls_per_block);
  }
  context.store().save(experiment);
}

// Measures all of them in turn and keeps them.
std::vector<PredictRow> measure_rows(const StudyContext& context, const StudiedModel& model,
                                     const std::vector<PredictRow>& rows, double seconds) {
  std::int64_t most = 1;
  for (const PredictRow& row : rows) most = std::max(most, row.batch_size);
  const DataSource& data = context.data().validation();
  const LoadedSamples samples = load_samples(model.graph, data, {0, data.num_samples()}, most);
  // One pool for all: workers of many pools would keep each other from the cores.
  const auto pool = std::make_shared<ThreadPool>(context.threads());
  std::vector<std::unique_ptr<PredictCandidate>> predictors;
  std::vector<Candidate> candidates;
  for (const PredictRow& row : rows) {
    predictors.push_back(std::make_unique<PredictCandidate>(model, samples, row, pool));
    candidates.push_back({fmt::format("batch {}", row.batch_size),
                          [predictor = predictors.back().get()] { predictor->run(); }});
  }
  const Stopwatch watch;
  SamplingOptions sampling;
  sampling.max_seconds = seconds;
  sampling.min_repeats = 30;
  sampling.target_relative_width = 0.01;
  sampling.should_stop = [&] {
    context.report(model, "Predict", fmt::format("{} batch sizes in turn", rows.size()),
                   std::min(watch.seconds(), seconds), seconds);
    context.check_stop();
    return false;
  };
  const std::vector<Samples> measured = measure_interleaved(candidates, sampling);
  std::vector<PredictRow> finished;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    finished.push_back(finished_row(rows[i], measured[i]));
    keep(context, model, finished.back(), measured[i]);
  }
  return finished;
}

}  // namespace

PredictChapter predict_chapter(const StudyContext& context, const StudiedModel& model,
                               double seconds) {
  PredictChapter chapter;
  chapter.threads = context.threads();
  const std::int64_t most = largest_in_time(context, model, seconds);
  std::vector<PredictRow> rows, missing;
  for (const PredictRow& row : rows_to_measure(context, model, most)) {
    const auto kept = context.store().load(key_of(context, model, row));
    if (!kept) {
      missing.push_back(row);
    } else {
      rows.push_back(nlohmann::json::parse(*kept).get<PredictRow>());
      rows.back().automatic = row.automatic;
    }
  }
  if (!missing.empty()) {
    for (const PredictRow& row : measure_rows(context, model, missing, seconds))
      rows.push_back(row);
  }
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.batch_size < b.batch_size; });
  std::vector<double> rates;
  std::vector<std::int64_t> sizes;
  for (const PredictRow& row : rows) {
    if (row.automatic) {
      chapter.automatic = row;
      continue;
    }
    chapter.rows.push_back(row);
    sizes.push_back(row.batch_size);
    rates.push_back(row.samples_per_s().median);
  }
  if (!sizes.empty()) chapter.knee = sizes[find_knee(sizes, rates)];
  if (const std::int64_t largest = context.options().predict_batch_sizes.back();
      sizes.empty() || sizes.back() < largest) {
    chapter.note =
        !model.engine->mixes_samples().empty()
            ? fmt::format("Only a batch of 1 is right: {}", model.engine->mixes_samples())
            : fmt::format(
                  "Batch sizes above {} were left out: a call would not fit into "
                  "the time ({}) or the memory",
                  sizes.empty() ? 0 : sizes.back(), format_duration(seconds));
  }
  return chapter;
}

}  // namespace batchwise

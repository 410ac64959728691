// SPDX-License-Identifier: Apache-2.0
#include "predict/run_predict.h"

#include <algorithm>

#include "base/check.h"
#include "base/sha256.h"
#include "binding/data_binding.h"
#include "data/data_statistics.h"
#include "measure/process_memory.h"
#include "measure/sampling.h"
#include "metrics/compare.h"
#include "metrics/loss.h"
#include "predict/loader_options.h"

namespace batchwise {
namespace {

// Pieces through a predictor, with its outputs in memory that is taken once.
class PieceRunner {
 public:
  PieceRunner(std::shared_ptr<const EngineModel> model, const PredictPlan& plan)
      : predictor_(std::move(model), plan.micro_batch, plan.threads) {
    std::int64_t total = 0;
    const std::size_t count = predictor_.model().source().outputs.size();
    for (std::size_t o = 0; o < count; ++o) total += predictor_.output_bytes(o) * plan.micro_batch;
    memory_ = MappedBuffer(total);
    std::byte* at = memory_.data();
    for (std::size_t o = 0; o < count; ++o) {
      outputs_.push_back(at);
      at += predictor_.output_bytes(o) * plan.micro_batch;
    }
  }
  void run(std::span<const void* const> inputs, std::int64_t samples) {
    predictor_.run(inputs, samples, outputs_);
  }
  const std::byte* output(std::size_t o) const { return static_cast<std::byte*>(outputs_[o]); }
  const Predictor& predictor() const { return predictor_; }

 private:
  Predictor predictor_;
  MappedBuffer memory_;
  std::vector<void*> outputs_;
};

// Runs the samples of a piece alone and compares.
class ControlRun {
 public:
  ControlRun(const std::shared_ptr<const EngineModel>& model, const PredictPlan& plan)
      : runner_(model, {1, 1, plan.threads, {}, 0}), comparator_(rows(*model)) {}

  void check(const PieceRunner& batched, std::span<const void* const> inputs,
             std::int64_t samples) {
    const std::size_t count = runner_.predictor().model().source().outputs.size();
    std::vector<const void*> one(inputs.size());
    std::vector<const std::byte*> a(count), b(count);
    for (std::int64_t s = 0; s < samples; ++s) {
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        one[i] = static_cast<const std::byte*>(inputs[i]) + s * runner_.predictor().input_bytes(i);
      }
      runner_.run(one, 1);
      for (std::size_t o = 0; o < count; ++o) {
        a[o] = runner_.output(o);
        b[o] = batched.output(o) + s * runner_.predictor().output_bytes(o);
      }
      comparator_.add(a, b, 1);
    }
  }
  PredictReport::Control result() const {
    const Comparison& found = comparator_.result();
    return {found.differing_samples, found.max_abs_error, found.max_ulp, found.changed_classes};
  }

 private:
  static std::vector<OutputComparator::Output> rows(const EngineModel& model) {
    std::vector<OutputComparator::Output> outputs;
    for (const OutputInfo& info : output_infos(model)) {
      outputs.push_back({info.shape.elements(), info.dtype});
    }
    return outputs;
  }
  PieceRunner runner_;
  OutputComparator comparator_;
};

void hash_rows(Sha256& hash, const PieceRunner& runner, std::span<const std::size_t> picked,
               std::int64_t rows) {
  if (picked.size() == 1) {
    const auto row = static_cast<std::size_t>(runner.predictor().output_bytes(picked[0]));
    hash.update(runner.output(picked[0]), row * static_cast<std::size_t>(rows));
    return;
  }
  for (std::int64_t s = 0; s < rows; ++s) {
    for (std::size_t o : picked) {
      const std::int64_t row = runner.predictor().output_bytes(o);
      hash.update(runner.output(o) + s * row, static_cast<std::size_t>(row));
    }
  }
}

void report_progress(const std::function<bool(std::int64_t, std::int64_t)>& on_progress,
                     std::int64_t done, std::int64_t of) {
  if (on_progress && !on_progress(done, of)) {
    throw Error(ErrorCode::kInterrupted,
                fmt::format("[predict] interrupted at {} of {}", done, of));
  }
}

std::int64_t measured_peak(const MemoryBase& base) {
  return base.rss_bytes > 0 ? read_process_memory().peak_rss_bytes - base.rss_bytes : 0;
}

}  // namespace

PredictReport run_predict(const std::shared_ptr<const EngineModel>& model, const DataSource& data,
                          const PredictOptions& options, std::span<const std::size_t> picked,
                          const RowSink& sink) {
  const DataBinding binding = bind_data(model->source(), data);
  const PredictPlan plan = choose_predict_plan(
      *model, data, {options.batch_size, options.micro_batch, false, options.control},
      options.resources);
  PieceRunner runner(model, plan);
  std::optional<ControlRun> control;
  if (options.control) control.emplace(model, plan);
  BatchLoader loader(data, predict_loader_options(binding, plan.batch_size, plan.micro_batch, false,
                                                  DType::kUndefined));
  Sha256 hash;
  std::vector<const void*> inputs(binding.feature_of_input.size());
  std::vector<const std::byte*> rows(picked.size());
  std::int64_t done = 0;
  const Stopwatch watch;
  while (const SamplePiece* piece = loader.next()) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      inputs[i] = piece->features[static_cast<std::size_t>(binding.feature_of_input[i])];
    }
    runner.run(inputs, piece->count);
    if (control) control->check(runner, inputs, piece->count);
    for (std::size_t o = 0; o < picked.size(); ++o) rows[o] = runner.output(picked[o]);
    hash_rows(hash, runner, picked, piece->count);
    sink(rows, piece->count);
    done += piece->count;
    report_progress(options.on_progress, done, data.num_samples());
  }
  PredictReport report;
  report.samples = done;
  report.batch_size = plan.batch_size;
  report.micro_batch = plan.micro_batch;
  report.threads = plan.threads;
  report.seconds = watch.seconds();
  report.samples_per_s = static_cast<double>(done) / std::max(report.seconds, 1e-9);
  report.planned = plan.parts;
  report.base = options.resources.base;
  report.measured_peak_rss_bytes = measured_peak(report.base);
  report.output_sha256 = hash.hex();
  if (control) report.control = control->result();
  return report;
}

}  // namespace batchwise

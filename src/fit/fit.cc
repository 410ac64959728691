// SPDX-License-Identifier: Apache-2.0
#include "fit/fit.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "binding/data_binding.h"
#include "data/batch_loader.h"
#include "measure/batch_laws.h"

namespace batchwise {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

DType label_dtype(Loss loss) {
  return loss == Loss::kCrossEntropy ? DType::kInt64 : DType::kFloat32;
}

// Hands the loader's pieces to the session in the order of the model's inputs.
class PieceFeeder {
 public:
  explicit PieceFeeder(DataBinding binding)
      : binding_(std::move(binding)), features_(binding_.feature_of_input.size()) {}

  TrainingSamples operator()(const SamplePiece& piece) {
    for (std::size_t i = 0; i < features_.size(); ++i) {
      features_[i] = piece.features[static_cast<std::size_t>(binding_.feature_of_input[i])];
    }
    return {features_, piece.labels, piece.count};
  }
  const std::vector<DType>& dtypes() const { return binding_.feature_dtypes; }

 private:
  DataBinding binding_;
  std::vector<const void*> features_;
};

double metric_of(const StepResult& sums, Loss loss) {
  const double total =
      loss == Loss::kCrossEntropy ? static_cast<double>(sums.correct) : sums.absolute_error_sum;
  return total / static_cast<double>(std::max<std::int64_t>(sums.samples, 1));
}

void add_sums(StepResult& total, const StepResult& step) {
  total.samples += step.samples;
  total.loss_sum += step.loss_sum;
  total.correct += step.correct;
  total.absolute_error_sum += step.absolute_error_sum;
}

// One training run: the loop over epochs and pieces.
class FitLoop {
 public:
  FitLoop(TrainingSession& session, const DataSource& train, const Validation& validation,
          const FitOptions& options, const FitCallbacks& callbacks)
      : session_(session),
        train_(train),
        validation_(validation),
        options_(options),
        callbacks_(callbacks),
        feeder_(bind_data(session.model().graph, train)) {
    rate_ = options.learning_rate > 0 ? options.learning_rate
                                      : default_learning_rate(options.training.optimizer.kind);
  }

  FitResult run() {
    BatchLoader loader(train_, loader_options());
    samples_per_epoch_ = loader.samples_per_epoch();
    result_.batch_size = options_.training.batch_size;
    result_.micro_batch = session_.micro_batch();
    epoch_start_ = Clock::now();
    while (!done_) {
      const SamplePiece* piece = loader.next();
      if (piece == nullptr) break;
      take(*piece);
    }
    if (epoch_sums_.samples > 0) finish_epoch();  // stopped, or out of steps, within an epoch
    result_.steps = session_.steps();
    return result_;
  }

 private:
  LoaderOptions loader_options() const {
    LoaderOptions loader;
    loader.batch_size = options_.training.batch_size;
    loader.shuffle = options_.shuffle;
    loader.seed = options_.training.seed;
    loader.epochs = options_.steps > 0 ? std::int64_t{1} << 30 : options_.epochs;
    loader.drop_last = options_.last_batch == LastBatch::kDrop;
    loader.range = options_.train_range;
    loader.feature_dtypes = feeder_.dtypes();
    loader.label_dtype = label_dtype(options_.training.loss);
    loader.threads = options_.loader_threads;
    loader.cut = [this](std::int64_t count) {
      std::vector<std::int64_t> counts;
      for (const BatchSlice& slice : session_.cut_batch(count).slices)
        counts.push_back(slice.count);
      return counts;
    };
    return loader;
  }

  void take(const SamplePiece& piece) {
    if (piece.first == 0) {
      const bool weighted = options_.last_batch == LastBatch::kWeighted;
      session_.begin_batch(piece.batch_count,
                           weighted ? options_.training.batch_size : piece.batch_count);
    }
    session_.add_slice(feeder_(piece));
    if (!piece.last_in_batch) return;
    const StepResult& step = session_.end_batch(rate_);
    add_sums(epoch_sums_, step);
    note_gradients(step);
    if (callbacks_.on_step) callbacks_.on_step(session_.steps(), step);
    if (options_.steps > 0 && session_.steps() >= options_.steps) done_ = true;
    report_progress();
    if (piece.last_in_epoch) finish_epoch();
  }

  void note_gradients(const StepResult& step) {
    const auto noise = estimate_gradient_noise(step.lane_norms2, step.lane_samples, step.norm2);
    if (noise) noise_.add(*noise);
  }

  void report_progress() {
    if (!callbacks_.on_progress) return;
    FitProgress progress;
    progress.epoch = static_cast<std::int64_t>(result_.epochs.size()) + 1;
    progress.epochs = options_.steps > 0 ? 0 : options_.epochs;
    progress.samples = epoch_sums_.samples;
    progress.samples_in_epoch = samples_per_epoch_;
    progress.loss = epoch_sums_.loss_sum / static_cast<double>(epoch_sums_.samples);
    progress.metric = metric_of(epoch_sums_, options_.training.loss);
    progress.samples_per_s =
        static_cast<double>(epoch_sums_.samples) / std::max(seconds_since(epoch_start_), 1e-9);
    if (!callbacks_.on_progress(progress)) done_ = result_.stopped = true;
  }

  void finish_epoch() {
    const double seconds = seconds_since(epoch_start_);
    training_seconds_ += seconds;
    EpochRecord record;
    record.epoch = static_cast<std::int64_t>(result_.epochs.size()) + 1;
    record.steps = session_.steps();
    record.samples = epoch_sums_.samples;
    record.loss = epoch_sums_.loss_sum / static_cast<double>(epoch_sums_.samples);
    record.metric = metric_of(epoch_sums_, options_.training.loss);
    record.samples_per_s = static_cast<double>(epoch_sums_.samples) / std::max(seconds, 1e-9);
    record.learning_rate = rate_;
    record.batch_size = options_.training.batch_size;
    record.seconds = training_seconds_;
    if (noise_.count() > 0) record.noise_scale = noise_.mean().b_simple();
    if (validation_.source != nullptr) {
      const StepResult sums = run_evaluation(session_, *validation_.source, validation_.range,
                                             options_.training.loss, options_.loader_threads);
      record.val_loss =
          sums.loss_sum / static_cast<double>(std::max<std::int64_t>(sums.samples, 1));
      record.val_metric = metric_of(sums, options_.training.loss);
    }
    result_.epochs.push_back(record);
    if (callbacks_.on_epoch) callbacks_.on_epoch(record);
    epoch_sums_ = {};
    noise_ = {};
    epoch_start_ = Clock::now();
  }

  TrainingSession& session_;
  const DataSource& train_;
  const Validation& validation_;
  const FitOptions& options_;
  const FitCallbacks& callbacks_;
  PieceFeeder feeder_;
  double rate_ = 0;
  FitResult result_;
  StepResult epoch_sums_;
  GradientNoiseMean noise_;
  std::int64_t samples_per_epoch_ = 0;
  Clock::time_point epoch_start_;
  double training_seconds_ = 0;
  bool done_ = false;
};

}  // namespace

LastBatch parse_last_batch(const std::string& name) {
  if (name == "weighted") return LastBatch::kWeighted;
  if (name == "mean") return LastBatch::kMean;
  if (name == "drop") return LastBatch::kDrop;
  fail_input("--last-batch", "{} is unknown; there are weighted, mean and drop", name);
}

double default_learning_rate(Optimizer optimizer) {
  return optimizer == Optimizer::kAdam ? 0.001 : 0.01;
}

FitResult run_fit(TrainingSession& session, const DataSource& train, const Validation& validation,
                  const FitOptions& options, const FitCallbacks& callbacks) {
  return FitLoop(session, train, validation, options, callbacks).run();
}

StepResult run_evaluation(TrainingSession& session, const DataSource& source, SampleRange range,
                          Loss loss, int loader_threads) {
  PieceFeeder feeder(bind_data(session.model().graph, source));
  LoaderOptions options;
  options.batch_size = session.micro_batch();
  options.range = range;
  options.feature_dtypes = feeder.dtypes();
  options.label_dtype = label_dtype(loss);
  options.threads = loader_threads;
  BatchLoader loader(source, options);
  StepResult sums;
  while (const SamplePiece* piece = loader.next()) session.evaluate(feeder(*piece), sums);
  return sums;
}

}  // namespace batchwise

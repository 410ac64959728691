// SPDX-License-Identifier: Apache-2.0
#include "study/fit_runs.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace batchwise {
namespace {

constexpr std::int64_t kMostEpochs = 10;
constexpr std::int64_t kPoints = 12;  // of a curve, where epochs do not give enough or too many
constexpr double kProbeSeconds = 0.15;

FitUse prepare(const StudyContext& context, const StudiedModel& model, std::int64_t batch_size,
               std::uint64_t seed) {
  const StudyData& data = context.data();
  return prepare_fit(model.graph, *data.train, data.test.get(),
                     fit_settings(context, batch_size, seed), nullptr);
}

// Microseconds a sample of training at one size, from a few steps on real samples.
double probe_us_per_sample(const StudyContext& context, const StudiedModel& model,
                           std::int64_t batch_size) {
  const FitUse use = prepare(context, model, batch_size, context.options().fit.seed);
  const bool classes = use.options.training.loss == Loss::kCrossEntropy;
  const LoadedSamples samples =
      load_samples(model.graph, *context.data().train, use.options.train_range, batch_size,
                   classes ? DType::kInt64 : DType::kFloat32);
  const std::vector<const void*> features = samples.pointers();
  TrainingSession session(use.model, use.options.training);
  const auto step = [&] {
    session.step({features, samples.labels.data(), batch_size}, batch_size, 0);
  };
  step();
  const Stopwatch watch;
  std::int64_t steps = 0;
  while (steps < 2 || (watch.seconds() < kProbeSeconds && steps < 200)) {
    step();
    ++steps;
  }
  return watch.us() / static_cast<double>(steps * batch_size);
}

void add_sums(StepResult& total, const StepResult& step) {
  total.samples += step.samples;
  total.loss_sum += step.loss_sum;
}

// Follows a run: points of its curve, with the time of training alone.
class CurveRecorder {
 public:
  CurveRecorder(const FitUse& use, TrainingSession& session, std::int64_t total_samples,
                FinishedRun& finished)
      : use_(use), session_(session), finished_(finished) {
    const std::int64_t epoch = use.options.train_range.count();
    const bool by_epochs = use.options.steps == 0 && total_samples >= 4 * epoch;
    between_ = by_epochs ? epoch : std::max<std::int64_t>(1, total_samples / kPoints);
    total_ = total_samples;
    next_ = between_;
  }

  void start() { watch_.restart(); }

  void take(const StepResult& step) {
    add_sums(sums_, step);
    seen_ += step.samples;
    note_gradients(step);
    if (seen_ >= next_) add_point();
  }
  // The last point is where the run ended.
  void finish() {
    if (sums_.samples > 0) add_point();
    if (noise_.count() > 0) finished_.noise = noise_.mean();
  }
  std::int64_t seen() const { return seen_; }

 private:
  void note_gradients(const StepResult& step) {
    finished_.lanes = std::max(finished_.lanes, static_cast<std::int64_t>(step.lane_norms2.size()));
    const auto noise = estimate_gradient_noise(step.lane_norms2, step.lane_samples, step.norm2);
    if (noise) noise_.add(*noise);
  }

  void add_point() {
    seconds_ += watch_.seconds();
    FitPoint point;
    point.samples_seen = seen_;
    point.steps = session_.steps();
    point.seconds = seconds_;
    point.loss = sums_.loss_sum / static_cast<double>(sums_.samples);
    if (use_.validation.source != nullptr) {
      const Loss loss = use_.options.training.loss;
      const StepResult found =
          run_evaluation(session_, *use_.validation.source, use_.validation.range, loss,
                         use_.options.loader_threads);
      const auto samples = static_cast<double>(std::max<std::int64_t>(found.samples, 1));
      point.val_loss = found.loss_sum / samples;
      if (loss == Loss::kCrossEntropy) {
        point.val_accuracy = static_cast<double>(found.correct) / samples;
      }
    }
    finished_.run.points.push_back(point);
    sums_ = {};
    while (next_ <= seen_) next_ += between_;
    // A scrap at the end belongs to the last point.
    if (next_ + between_ / 2 > total_) next_ = std::max(next_, total_);
    watch_.restart();
  }

  const FitUse& use_;
  TrainingSession& session_;
  FinishedRun& finished_;
  std::int64_t between_ = 1, next_ = 1, seen_ = 0, total_ = 0;
  double seconds_ = 0;
  StepResult sums_;
  GradientNoiseMean noise_;
  Stopwatch watch_;
};

// The trained values in place of the initial ones.
Graph with_weights(Graph graph, const TrainingSession& session) {
  const auto take = [&](const std::string& name) {
    const ValueId id = graph.find(name);
    BW_CHECK(id != kNoValue && graph.value(id).constant, "{} is no constant", name);
    graph.value(id).constant =
        Tensor::copy_of(DType::kFloat32, graph.shape(id), session.state(name).data());
  };
  for (const Parameter& parameter : session.model().parameters) take(parameter.name);
  for (const std::string& name : session.model().statistics) take(name);
  return graph;
}

}  // namespace

FitAmount choose_fit_amount(const StudyContext& context, const StudiedModel& model,
                            const std::vector<std::int64_t>& batch_sizes, double seconds) {
  const StudyData& data = context.data();
  const std::int64_t epoch = data.train_range.count();
  const std::int64_t largest = batch_sizes.back();
  if (context.options().epochs > 0) {
    return {context.options().epochs, context.options().epochs * epoch};
  }
  double us_per_sample = 0;  // of one sample through one run of each size
  for (std::int64_t size : batch_sizes) {
    context.check_stop();
    context.report(model, "Fit", fmt::format("a few steps of batch {}", size));
    us_per_sample += probe_us_per_sample(context, model, size);
  }
  const double per_sample_s = 1e-6 * us_per_sample * static_cast<double>(context.options().seeds);
  // A sample that validates costs about a third of one that trains.
  const double validation =
      static_cast<double>(data.validation_range.count() * kPoints) / 3 * per_sample_s;
  const auto affordable =
      static_cast<std::int64_t>(std::max(0.0, seconds - validation) / per_sample_s);
  if (affordable >= epoch) {
    const std::int64_t epochs = std::min(affordable / epoch, kMostEpochs);
    return {epochs, epochs * epoch};
  }
  // Less than an epoch, but some steps of the largest size, and whole steps of all.
  const std::int64_t steps = std::max<std::int64_t>(affordable / largest, 10);
  return {0, std::min(steps * largest, epoch)};
}

FinishedRun run_one_fit(const StudyContext& context, const StudiedModel& model,
                        std::int64_t batch_size, std::uint64_t seed, const FitAmount& amount,
                        bool watch_gradients) {
  FitUse use = prepare(context, model, batch_size, seed);
  use.options.training.measure_gradients = watch_gradients;
  if (watch_gradients) {
    use.validation = {};
    use.options.training.evaluates = false;
  }
  use.options.epochs = std::max<std::int64_t>(amount.epochs, 1);
  use.options.steps =
      amount.epochs > 0 ? 0 : std::max<std::int64_t>(1, amount.samples / batch_size);
  FinishedRun finished;
  finished.run = {batch_size, seed, use.options.learning_rate, {}};
  finished.peak_bytes = use.parts.total();
  TrainingSession session(use.model, use.options.training);
  finished.micro_batch = session.micro_batch();
  CurveRecorder recorder(use, session, amount.samples, finished);
  FitCallbacks callbacks;
  callbacks.on_step = [&](std::int64_t, const StepResult& step) {
    recorder.take(step);
    context.check_stop();
  };
  recorder.start();
  run_fit(session, *context.data().train, {}, use.options, callbacks);
  recorder.finish();
  finished.weights_sha256 = session.weights_sha256();
  finished.trained = with_weights(std::move(use.exported), session);
  return finished;
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "batching/cut_batch.h"
#include "study/chapters.h"
#include "study/fit_runs.h"
#include "study/recommend.h"
#include "study/report_text.h"
#include "study/study_json.h"

namespace batchwise {
namespace {

constexpr std::int64_t kRateBatch = 32;     // the batch size that the given rate is for
constexpr std::int64_t kLeastShare = 20;    // a batch is at most one part of so many of the data
constexpr std::size_t kLeastNoiseRows = 3;  // so that the chart shows a course

double rate_of(const FitSettings& settings, std::int64_t batch_size) {
  const double given = settings.learning_rate > 0
                           ? settings.learning_rate
                           : default_learning_rate(parse_optimizer(settings.optimizer));
  return given * std::sqrt(static_cast<double>(batch_size) / static_cast<double>(kRateBatch));
}

// All that a run's outcome depends on, besides batch size and seed.
std::string settings_key(const StudyContext& context) {
  const FitSettings& s = context.options().fit;
  return fmt::format(
      "rate={}/{}/momentum={}{}/decay={}/clip={}/loss={}/last={}/shuffle={}/ghost={}/train={}/"
      "freeze={}/normalize={}/output={}/split={}",
      rate_of(s, kRateBatch), s.optimizer, s.momentum, s.nesterov ? "n" : "", s.weight_decay,
      s.clip_norm, s.loss, s.last_batch, s.shuffle, s.ghost_batch, fmt::join(s.train, ","),
      fmt::join(s.freeze, ","), s.normalize, s.output_name, context.data().train_range.count());
}

// The runs of one model, from the store or now.
class FitStudy {
 public:
  FitStudy(const StudyContext& context, const StudiedModel& model, double seconds)
      : context_(context),
        model_(model),
        seconds_(seconds),
        sizes_(fit_batch_sizes(context.options(), context.data().train_range.count())),
        settings_(settings_key(context)) {}

  FitOutcome run() {
    settle_amount();
    // All sizes of one seed before the next: whenever time ends, sizes have been treated alike.
    std::int64_t left_out = 0;
    const std::int64_t total = context_.options().seeds * std::ssize(sizes_);
    for (std::int64_t s = 0; s < context_.options().seeds; ++s) {
      for (std::int64_t size : sizes_) {
        const std::int64_t done = std::ssize(outcome_.chapter.runs) + left_out;
        if (!take_run(size, seed(s), done, total)) ++left_out;
      }
    }
    if (left_out > 0) {
      outcome_.chapter.note = fmt::format("The budget left out {} of {} runs", left_out, total);
    }
    take_noise();
    finish();
    return std::move(outcome_);
  }

 private:
  std::uint64_t seed(std::int64_t index) const {
    return context_.options().fit.seed + static_cast<std::uint64_t>(index);
  }

  // A study that goes on must see as many samples as it began with.
  void settle_amount() {
    const std::string fact =
        fmt::format("samples of a fit/{}/{}/{}", model_.key, settings_, context_.options().epochs);
    if (const auto kept = context_.store().fact(fact)) {
      const auto json = nlohmann::json::parse(*kept);
      amount_ = {json.at("epochs").get<std::int64_t>(), json.at("samples").get<std::int64_t>()};
    } else {
      amount_ = choose_fit_amount(context_, model_, sizes_, seconds_);
      context_.store().set_fact(
          fact, nlohmann::json({{"epochs", amount_.epochs}, {"samples", amount_.samples}}).dump());
    }
    outcome_.epochs = amount_.epochs;
    outcome_.samples_seen = amount_.samples;
  }

  std::string key(const char* kind, std::int64_t size, std::uint64_t seed) const {
    return fmt::format("{}/{}/batch={}/seed={}/samples={}/{}", kind, model_.key, size, seed,
                       amount_.samples, settings_);
  }

  // False where there is no time for it.
  bool take_run(std::int64_t size, std::uint64_t seed, std::int64_t done, std::int64_t total) {
    context_.check_stop();
    const std::string name = key("fit", size, seed);
    FinishedRun finished;
    if (const auto kept = context_.store().load(name)) {
      const auto json = nlohmann::json::parse(*kept);
      finished.run = json.at("run").get<FitRun>();
      finished.micro_batch = json.at("micro_batch").get<std::int64_t>();
      finished.peak_bytes = json.at("peak_bytes").get<std::int64_t>();
    } else {
      if (context_.out_of_budget() && !outcome_.chapter.runs.empty()) return false;
      context_.report(model_, "Fit", fmt::format("batch {}, seed {}", size, seed),
                      static_cast<double>(done), static_cast<double>(total));
      const Stopwatch watch;
      finished = run_one_fit(context_, model_, size, seed, amount_, false);
      keep(name, finished, watch.seconds());
    }
    micro_batches_[size] = finished.micro_batch;
    peaks_[size] = finished.peak_bytes;
    remember_best(finished);
    outcome_.chapter.runs.push_back(std::move(finished.run));
    return true;
  }

  void keep(const std::string& name, const FinishedRun& finished, double seconds) {
    FinishedExperiment experiment;
    experiment.key = name;
    experiment.chapter = "fit";
    experiment.model = model_.info.name;
    experiment.outcome = nlohmann::json({{"run", finished.run},
                                         {"micro_batch", finished.micro_batch},
                                         {"peak_bytes", finished.peak_bytes},
                                         {"weights_sha256", finished.weights_sha256}})
                             .dump();
    experiment.seconds = seconds;
    const FitPoint& last = finished.run.points.back();
    experiment.measurements = {{"seconds a run", 0, last.seconds, "s"},
                               {"steps a run", 0, static_cast<double>(last.steps), "steps"}};
    if (last.val_accuracy) {
      experiment.measurements.push_back({"final accuracy", 0, *last.val_accuracy, ""});
    }
    experiment.curves = {finished.run};
    context_.store().save(experiment);
  }

  // Weights are kept of the best run only: a model's may be large.
  void remember_best(FinishedRun& finished) {
    const FitPoint& last = finished.run.points.back();
    const double score = last.val_accuracy ? *last.val_accuracy
                         : last.val_loss   ? -*last.val_loss
                                           : -last.loss.value_or(INFINITY);
    if (!std::isfinite(score) || (outcome_.trained && score <= best_score_)) return;
    best_score_ = score;
    const FitRun& run = finished.run;
    TrainedModel trained{run.batch_size, run.seed, nullptr};
    if (finished.trained) {
      trained.graph = [graph = std::move(*finished.trained)] { return graph; };
    } else {
      trained.graph = [this_context = &context_, model = &model_, size = run.batch_size,
                       seed = run.seed, amount = amount_] {
        return *run_one_fit(*this_context, *model, size, seed, amount, false).trained;
      };
    }
    outcome_.trained = std::move(trained);
  }

  // Sizes that have lanes; above those of the fits where there are few.
  std::vector<std::int64_t> noise_sizes() const {
    std::vector<std::int64_t> sizes;
    for (std::int64_t size : sizes_) {
      if (lane_count(size) > 1) sizes.push_back(size);
    }
    const std::int64_t most = context_.data().train_range.count() / 4;
    for (std::int64_t size = 64; size <= 512 && size <= most; size *= 2) {
      if (sizes.size() >= kLeastNoiseRows) break;
      if (std::find(sizes.begin(), sizes.end(), size) == sizes.end()) sizes.push_back(size);
    }
    std::sort(sizes.begin(), sizes.end());
    return sizes;
  }

  // Apart from the timed runs, as looking at the lanes takes time.
  void take_noise() {
    const bool one_piece =
        prepare_fit(model_.graph, *context_.data().train, context_.data().test.get(),
                    fit_settings(context_, sizes_.front(), seed(0)), nullptr)
            .model->normalizes_batch &&
        context_.options().fit.ghost_batch == 0;
    if (one_piece) return;  // no lanes
    for (std::int64_t size : noise_sizes()) {
      const std::string name = key("noise", size, seed(0));
      if (const auto kept = context_.store().load(name)) {
        outcome_.chapter.noise.push_back(nlohmann::json::parse(*kept).get<GradientNoiseRow>());
        continue;
      }
      if (context_.out_of_budget()) return;
      context_.check_stop();
      context_.report(model_, "Fit", fmt::format("gradient noise, batch {}", size));
      measure_noise(name, size);
    }
  }

  void measure_noise(const std::string& name, std::int64_t size) {
    const Stopwatch watch;
    const FinishedRun finished = run_one_fit(context_, model_, size, seed(0), amount_, true);
    if (!finished.noise) return;
    GradientNoiseRow row;
    row.batch_size = size;
    row.lanes = finished.lanes;
    row.grad_norm2 = finished.noise->grad_norm2;
    row.trace_sigma = finished.noise->trace_sigma;
    row.b_simple = finished.noise->b_simple();
    // A run that diverged says nothing, and is no JSON number either.
    if (!std::isfinite(row.grad_norm2) || !std::isfinite(row.trace_sigma)) return;
    context_.store().save({name,
                           "fit",
                           model_.info.name,
                           nlohmann::json(row).dump(),
                           watch.seconds(),
                           {{"gradient norm squared", 0, row.grad_norm2, ""},
                            {"trace of the covariance", 0, row.trace_sigma, ""}},
                           {}});
    outcome_.chapter.noise.push_back(row);
  }

  void finish() {
    FitChapter& chapter = outcome_.chapter;
    const bool accuracy =
        std::any_of(chapter.runs.begin(), chapter.runs.end(),
                    [](const auto& run) { return run.points.back().val_accuracy.has_value(); });
    chapter.metric = accuracy ? "accuracy" : "validation loss";
    chapter.higher_is_better = accuracy;
    std::sort(chapter.runs.begin(), chapter.runs.end(), [](const FitRun& a, const FitRun& b) {
      return std::pair(a.batch_size, a.seed) < std::pair(b.batch_size, b.seed);
    });
    chapter.rows = summarize_fit_runs(chapter.runs, chapter.higher_is_better);
    for (FitRow& row : chapter.rows) {
      row.micro_batch = micro_batches_[row.batch_size];
      row.peak_bytes = peaks_[row.batch_size];
    }
    chapter.setting = describe();
  }

  std::string describe() const {
    const FitSettings& fit = context_.options().fit;
    std::string text = fit.optimizer;
    if (fit.optimizer == "sgd" && fit.momentum > 0) {
      text += fmt::format(" with {}momentum {}", fit.nesterov ? "Nesterov " : "", fit.momentum);
    }
    text +=
        fmt::format(", learning rate {:.4g} at batch {}, scaled by the square root of the batch",
                    rate_of(fit, kRateBatch), kRateBatch);
    if (fit.weight_decay > 0) text += fmt::format(", weight decay {}", fit.weight_decay);
    if (fit.clip_norm > 0) text += fmt::format(", clipped at {}", fit.clip_norm);
    return text + (amount_.epochs > 0
                       ? fmt::format("; {} epoch{} of {} samples", amount_.epochs,
                                     amount_.epochs == 1 ? "" : "s",
                                     format_count(context_.data().train_range.count()))
                       : fmt::format("; {} samples, less than an epoch", amount_.samples));
  }

  const StudyContext& context_;
  const StudiedModel& model_;
  double seconds_;
  std::vector<std::int64_t> sizes_;
  std::string settings_;
  FitAmount amount_;
  FitOutcome outcome_;
  double best_score_ = 0;
  std::map<std::int64_t, std::int64_t> micro_batches_, peaks_;
};

}  // namespace

std::vector<std::int64_t> fit_batch_sizes(const StudyOptions& options, std::int64_t train_samples) {
  std::vector<std::int64_t> sizes;
  const bool given = !options.fit_batch_sizes.empty();
  for (std::int64_t size :
       given ? options.fit_batch_sizes : std::vector<std::int64_t>{1, 8, 32, 128, 512}) {
    // Of a size that is too large the largest round one is taken.
    const std::int64_t most =
        given ? train_samples : std::max<std::int64_t>(1, train_samples / kLeastShare);
    if (size > most) size = given || most < 8 ? most : most / 8 * 8;
    sizes.push_back(size);
  }
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  return sizes;
}

FitSettings fit_settings(const StudyContext& context, std::int64_t batch_size, std::uint64_t seed) {
  FitSettings settings = context.options().fit;
  settings.batch_size = batch_size;
  settings.seed = seed;
  settings.learning_rate = rate_of(settings, batch_size);
  settings.epochs = 1;
  settings.steps = 0;
  settings.micro_batch = 0;
  settings.measure_noise = false;
  settings.resources = context.options().resources;
  return settings;
}

FitOutcome fit_chapter(const StudyContext& context, const StudiedModel& model, double seconds) {
  return FitStudy(context, model, seconds).run();
}

}  // namespace batchwise

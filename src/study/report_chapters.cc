// SPDX-License-Identifier: Apache-2.0
#include "study/report_chapters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "study/report_text.h"

namespace batchwise {
namespace {

// What the parts are called; report.js has the same order.
struct PartColumn {
  const char* name;
  std::int64_t MemoryParts::*bytes;
};
constexpr PartColumn kParts[] = {{"weights", &MemoryParts::weights_bytes},
                                 {"packed weights", &MemoryParts::packed_weights_bytes},
                                 {"activations", &MemoryParts::activation_bytes},
                                 {"gradients", &MemoryParts::gradient_bytes},
                                 {"optimizer", &MemoryParts::optimizer_bytes},
                                 {"scratch", &MemoryParts::scratch_bytes},
                                 {"inputs, outputs", &MemoryParts::io_bytes},
                                 {"data", &MemoryParts::data_bytes},
                                 {"code", &MemoryParts::code_bytes}};

std::string absent_text(const Recommendation& answer) {
  return answer.absent_reason.empty() ? "This chapter was not run." : answer.absent_reason;
}

ReportFigure memory_figure(const MemoryChapter& chapter, StudyUse use) {
  std::vector<std::string> head{"batch", "micro-batch"};
  std::vector<const PartColumn*> columns;
  for (const PartColumn& part : kParts) {
    const bool used = std::any_of(chapter.rows.begin(), chapter.rows.end(), [&](const auto& row) {
      return row.use == use && row.parts.*part.bytes > 0;
    });
    if (!used) continue;
    columns.push_back(&part);
    head.emplace_back(part.name);
  }
  head.emplace_back("peak");
  TextTable table(head);
  for (const MemoryRow& row : chapter.rows) {
    if (row.use != use) continue;
    std::vector<std::string> cells{format_count(row.batch_size), format_count(row.micro_batch)};
    for (const PartColumn* part : columns) cells.push_back(format_bytes(row.parts.*part->bytes));
    cells.push_back(format_bytes(row.peak_bytes));
    table.add(cells);
  }
  const std::string title = fmt::format("Memory to {}", name_of(use));
  return {fmt::format("memory-{}", name_of(use)),
          title,
          "Bytes live at the peak instant, by what they are for.",
          table.html(title),
          "half",
          "",
          true};
}

ReportChapter memory_chapter(const ModelStudy& study) {
  ReportChapter chapter{"Memory", "This chapter was not run.", "", {}};
  if (!study.memory) return chapter;
  // What binds: a batch is a loop over micro-batches, so that mostly only these have a limit.
  const auto largest = [](const std::optional<std::int64_t>& size,
                          const std::optional<std::int64_t>& micro) {
    if (size) return "up to " + format_count(*size) + " samples fit";
    if (micro) return "every batch size fits, at most " + format_count(*micro) + " samples at once";
    return std::string("every batch size fits");
  };
  const MemoryChapter& memory = *study.memory;
  if (memory.limit_bytes) {
    std::vector<std::string> uses;
    const auto has = [&](StudyUse use) {
      return std::any_of(memory.rows.begin(), memory.rows.end(),
                         [&](const MemoryRow& row) { return row.use == use; });
    };
    if (has(StudyUse::kPredict)) {
      uses.push_back("to predict, " + largest(memory.largest_predict_batch_size,
                                              memory.largest_predict_micro_batch));
    }
    if (has(StudyUse::kFit)) {
      uses.push_back("to fit, " +
                     largest(memory.largest_fit_batch_size, memory.largest_fit_micro_batch));
    }
    chapter.finding =
        fmt::format("Under the limit of {} ({}), less {} that the process itself takes: {}.",
                    format_bytes(*memory.limit_bytes), memory.limit_source,
                    format_bytes(memory.base_bytes), fmt::join(uses, "; "));
  } else {
    chapter.finding = "Nothing limits memory here: every batch size fits.";
  }
  chapter.note =
      "From the memory plan: nothing was run for it. A larger batch runs in the memory of its "
      "micro-batch, which never changes a result.";
  for (StudyUse use : {StudyUse::kPredict, StudyUse::kFit}) {
    const bool any = std::any_of(memory.rows.begin(), memory.rows.end(),
                                 [&](const MemoryRow& row) { return row.use == use; });
    if (any) chapter.figures.push_back(memory_figure(memory, use));
  }
  return chapter;
}

std::string predict_table(const PredictChapter& predict) {
  TextTable table({"batch", "micro-batch", "median a call", "95 % interval", "p99", "repeats",
                   "samples/s", "µs a sample", "peak memory"});
  const auto add = [&table](const PredictRow& row) {
    const std::string approximate = row.p99_us.covers ? "" : "≈ ";
    table.add(
        {row.automatic ? format_count(row.batch_size) + " (auto)" : format_count(row.batch_size),
         format_count(row.micro_batch), format_us(row.us.median),
         fmt::format("{} – {}", format_us(row.us.low), format_us(row.us.high)),
         approximate + format_us(row.p99_us.median), format_count(row.repeats),
         format_interval(row.samples_per_s()), format_figure(row.us_per_sample().median),
         format_bytes(row.peak_bytes)});
  };
  for (const PredictRow& row : predict.rows) add(row);
  if (predict.automatic) add(*predict.automatic);
  return table.html("Predict: every batch size");
}

ReportChapter predict_chapter(const ModelStudy& study) {
  ReportChapter chapter{"Predict", absent_text(study.for_predict), "", {}};
  if (!study.predict || study.predict->rows.empty()) return chapter;
  const PredictChapter& predict = *study.predict;
  const auto faster = [](const PredictRow& a, const PredictRow& b) {
    return a.samples_per_s().median < b.samples_per_s().median;
  };
  const PredictRow& best = *std::max_element(predict.rows.begin(), predict.rows.end(), faster);
  const PredictRow& first = predict.rows.front();
  chapter.finding = fmt::format(
      "{} samples/s at batch {}, {}x as many as at batch {}; the knee is at {}.",
      format_figure(best.samples_per_s().median), format_count(best.batch_size),
      format_figure(best.samples_per_s().median / first.samples_per_s().median),
      format_count(first.batch_size), predict.knee ? format_count(*predict.knee) : "no size");
  if (predict.automatic) {
    chapter.finding += fmt::format(
        " With the micro-batch left to the engine ({}), a batch of {} gives {} samples/s.",
        format_count(predict.automatic->micro_batch), format_count(predict.automatic->batch_size),
        format_figure(predict.automatic->samples_per_s().median));
  }
  chapter.note = fmt::format(
      "Sizes were measured in turn, after a warm-up, on {} thread{}; bands and bars are 95 % "
      "intervals of the median. A p99 marked ≈ had too few repeats for an interval.",
      predict.threads, predict.threads == 1 ? "" : "s");
  if (!predict.note.empty()) chapter.note += " " + predict.note + ".";
  const std::string table = predict_table(predict);
  chapter.figures = {{"predict-time", "Time a call",
                      "Both axes logarithmic. Flat on the left is overhead; the "
                      "straight slope on the right is work.",
                      table, "half", ""},
                     {"predict-rate", "Samples a second",
                      "The knee is the smallest size within 5 % of the best.", table, "half", ""},
                     {"predict-sample", "Microseconds a sample",
                      "What one sample costs at each size.", table, "wide", "", true}};
  return chapter;
}

ReportChapter accuracy_chapter(const ModelStudy& study) {
  ReportChapter chapter{"Accuracy", "This chapter was not run.", "", {}};
  if (!study.accuracy || study.accuracy->rows.empty()) return chapter;
  TextTable table({"batch", "samples", "differing samples", "differing values", "largest error",
                   "units in the last place", "changed classes"});
  const AccuracyRow* worst = nullptr;
  for (const AccuracyRow& row : study.accuracy->rows) {
    if (worst == nullptr || row.differing_samples > worst->differing_samples) worst = &row;
    table.add({format_count(row.batch_size), format_count(row.samples),
               format_count(row.differing_samples), format_count(row.differing_values),
               format_figure(row.max_abs_error), format_count(row.max_ulp),
               format_count(row.changed_classes)});
  }
  chapter.finding =
      worst->differing_samples == 0
          ? "Every sample has the same bits at every batch size: the batch size is free to choose."
          : fmt::format("At batch {}, {} of {} samples differ from batch 1, and {} change class.",
                        format_count(worst->batch_size), format_count(worst->differing_samples),
                        format_count(worst->samples), format_count(worst->changed_classes));
  chapter.note = fmt::format("Each sample alone (batch 1) is the control; weights are {}.",
                             study.accuracy->trained_weights ? "trained ones" : "as in the file");
  chapter.figures = {{"accuracy", "Samples with the bits of batch 1",
                      "A full bar is what it should be.", table.html("Accuracy: against batch 1"),
                      "wide low", "", true}};
  return chapter;
}

constexpr const char* kAxisSwitch =
    "<div class=\"switch\" role=\"group\" aria-label=\"Horizontal axis\">"
    "<button type=\"button\" data-axis=\"samples_seen\" aria-pressed=\"true\">samples</button>"
    "<button type=\"button\" data-axis=\"steps\" aria-pressed=\"false\">steps</button>"
    "<button type=\"button\" data-axis=\"seconds\" aria-pressed=\"false\">seconds</button></div>";

std::string curve_table(const FitChapter& fit) {
  TextTable table({"batch", "seed", "samples", "steps", "seconds", "loss", "validation loss",
                   "validation accuracy"});
  const auto cell = [](const std::optional<double>& value) {
    return value ? fmt::format("{:.4f}", *value) : std::string("–");
  };
  for (const FitRun& run : fit.runs) {
    for (const FitPoint& point : run.points) {
      table.add({format_count(run.batch_size), std::to_string(run.seed),
                 format_count(point.samples_seen), format_count(point.steps),
                 format_figure(point.seconds), cell(point.loss), cell(point.val_loss),
                 cell(point.val_accuracy)});
    }
  }
  return table.html("Fit: every point of every run");
}

std::string fit_rows_table(const FitChapter& fit) {
  TextTable table({"batch", "learning rate", "seeds", "steps", "final " + fit.metric,
                   "95 % interval", "seconds", "steps/s", "samples/s", "peak memory",
                   "as good as the best"});
  for (const FitRow& row : fit.rows) {
    table.add({format_count(row.batch_size), format_figure(row.learning_rate),
               format_count(row.seeds), format_count(row.steps),
               fmt::format("{:.4f}", row.final_metric.median),
               row.final_metric.covers
                   ? fmt::format("{:.4f} – {:.4f}", row.final_metric.low, row.final_metric.high)
                   : "one seed",
               format_figure(row.seconds.median), format_figure(row.steps_per_s.median),
               format_figure(row.samples_per_s.median), format_bytes(row.peak_bytes),
               row.good_enough ? "yes" : "no"});
  }
  return table.html("Fit: every batch size");
}

ReportFigure noise_figure(const FitChapter& fit) {
  TextTable table({"batch", "lanes", "|G|²", "tr(Σ)", "tr(Σ)/B", "noise scale"});
  for (const GradientNoiseRow& row : fit.noise) {
    table.add({format_count(row.batch_size), format_count(row.lanes), format_figure(row.grad_norm2),
               format_figure(row.trace_sigma),
               format_figure(row.trace_sigma / static_cast<double>(row.batch_size)),
               row.b_simple ? format_figure(*row.b_simple) : "–"});
  }
  return {"fit-noise",
          "Variance of the gradient",
          "Noise, tr(Σ)/B, falls with the batch; the signal, |G|², does not. Where they meet, a "
          "larger batch begins to buy little. Estimated from the lanes, while training.",
          table.html("Fit: gradient noise"),
          "wide",
          "",
          true};
}

ReportChapter fit_chapter(const ModelStudy& study) {
  ReportChapter chapter{"Fit", absent_text(study.for_fit), "", {}};
  if (!study.fit || study.fit->rows.empty()) return chapter;
  const FitChapter& fit = *study.fit;
  const auto quicker = [](const FitRow& a, const FitRow& b) {
    return a.seconds.median < b.seconds.median;
  };
  const auto good = std::count_if(fit.rows.begin(), fit.rows.end(),
                                  [](const FitRow& row) { return row.good_enough; });
  const FitRow& fastest = *std::min_element(fit.rows.begin(), fit.rows.end(), quicker);
  chapter.finding = fmt::format(
      "Batch {} trains fastest, {} a run; {} of {} sizes end with a final {} that {} the best.",
      format_count(fastest.batch_size), format_duration(fastest.seconds.median), good,
      fit.rows.size(), fit.metric,
      fit.rows.front().final_metric.covers ? "chance cannot tell from" : "is within 1 % of");
  chapter.note = fit.setting.empty() ? "" : fit.setting + ". ";
  chapter.note +=
      "Every size sees the same samples; of each the first seed is drawn thick, the others thin. "
      "Bars are 95 % intervals.";
  if (!fit.note.empty()) chapter.note += " " + fit.note + ".";
  const std::string curves = curve_table(fit);
  const std::string rows = fit_rows_table(fit);
  const auto any = [&fit](std::optional<double> FitPoint::*field) {
    return std::any_of(fit.runs.begin(), fit.runs.end(), [field](const FitRun& run) {
      return std::any_of(run.points.begin(), run.points.end(),
                         [field](const FitPoint& point) { return (point.*field).has_value(); });
    });
  };
  const auto add_curves = [&](const char* kind, const char* title, const char* how) {
    chapter.figures.push_back({kind, title, how, curves, "half", kAxisSwitch});
  };
  if (any(&FitPoint::loss)) {
    add_curves("fit-loss", "Training loss", "Logarithmic. One line a run.");
  }
  if (any(&FitPoint::val_accuracy)) {
    add_curves("fit-accuracy", "Validation accuracy", "One line a run.");
  } else if (any(&FitPoint::val_loss)) {
    add_curves("fit-val-loss", "Validation loss", "Logarithmic. One line a run.");
  }
  chapter.figures.push_back(
      {"fit-final", "Final " + fit.metric,
       "Mean over seeds with its 95 % interval. Hollow: worse than the best beyond chance.", rows,
       "wide", "", true});
  chapter.figures.push_back(
      {"fit-samples-per-s", "Samples a second", "While training.", rows, "half", ""});
  chapter.figures.push_back(
      {"fit-steps-per-s", "Steps a second", "Weight updates.", rows, "half", ""});
  const bool any_noise = std::any_of(fit.noise.begin(), fit.noise.end(), [](const auto& row) {
    return row.trace_sigma > 0 && row.grad_norm2 > 0;
  });
  if (any_noise) chapter.figures.push_back(noise_figure(fit));
  return chapter;
}

}  // namespace

std::vector<ReportChapter> report_chapters(const ModelStudy& study) {
  return {memory_chapter(study), predict_chapter(study), accuracy_chapter(study),
          serve_report_chapter(study), fit_chapter(study)};
}

}  // namespace batchwise

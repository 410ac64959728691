// SPDX-License-Identifier: Apache-2.0
#include "study/recommend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "measure/batch_laws.h"
#include "study/report_text.h"

namespace batchwise {
namespace {

template <typename Row>
void add_neighbours(const std::vector<Row>& rows, std::size_t chosen, Recommendation* answer,
                    std::string (*what)(const Row& chosen, const Row& other)) {
  if (chosen > 0) {
    answer->neighbours.push_back(
        {rows[chosen - 1].batch_size, what(rows[chosen], rows[chosen - 1])});
  }
  if (chosen + 1 < rows.size()) {
    answer->neighbours.push_back(
        {rows[chosen + 1].batch_size, what(rows[chosen], rows[chosen + 1])});
  }
}

std::string predict_neighbour(const PredictRow& chosen, const PredictRow& other) {
  return fmt::format("{:.0f} % of the throughput ({} samples/s), {:.2f}x the time a call",
                     100 * other.samples_per_s().median / chosen.samples_per_s().median,
                     format_figure(other.samples_per_s().median),
                     other.us.median / chosen.us.median);
}

// One seed says nothing about chance: what is within one part in a hundred counts as good.
bool is_near(double metric, double best) {
  return std::abs(metric - best) <= 0.01 * std::max(std::abs(metric), std::abs(best));
}

std::string fit_neighbour(const FitRow& chosen, const FitRow& other) {
  return fmt::format("{:.2f}x the time ({}), final metric {:.4f}{}",
                     other.seconds.median / chosen.seconds.median,
                     format_duration(other.seconds.median), other.final_metric.median,
                     other.good_enough           ? ""
                     : other.final_metric.covers ? ", worse than the best beyond chance"
                                                 : ", worse than the best");
}

FitRow summarize_runs_of_one_size(std::int64_t batch_size, const std::vector<const FitRun*>& runs) {
  FitRow row;
  row.batch_size = row.micro_batch = batch_size;
  row.seeds = static_cast<std::int64_t>(runs.size());
  row.learning_rate = runs.front()->learning_rate;
  std::vector<double> metric, seconds, steps_per_s, samples_per_s;
  for (const FitRun* run : runs) {
    const FitPoint& last = run->points.back();
    row.steps = last.steps;
    if (!std::isfinite(last.loss.value_or(std::numeric_limits<double>::quiet_NaN()))) {
      metric.push_back(std::numeric_limits<double>::quiet_NaN());  // it diverged
    } else if (last.val_accuracy) {
      metric.push_back(*last.val_accuracy);
    } else if (last.val_loss || last.loss) {
      metric.push_back(last.val_loss ? *last.val_loss : *last.loss);
    }
    seconds.push_back(last.seconds);
    if (last.seconds <= 0) continue;
    steps_per_s.push_back(static_cast<double>(last.steps) / last.seconds);
    samples_per_s.push_back(static_cast<double>(last.samples_seen) / last.seconds);
  }
  if (!metric.empty()) row.final_metric = mean_interval(metric);
  if (runs.front()->points.back().val_accuracy) {  // an accuracy has ends
    row.final_metric.low = std::max(row.final_metric.low, 0.0);
    row.final_metric.high = std::min(row.final_metric.high, 1.0);
  }
  row.seconds = median_interval(seconds);
  if (!steps_per_s.empty()) row.steps_per_s = median_interval(steps_per_s);
  if (!samples_per_s.empty()) row.samples_per_s = median_interval(samples_per_s);
  return row;
}

}  // namespace

std::vector<FitRow> summarize_fit_runs(const std::vector<FitRun>& runs, bool higher_is_better) {
  std::map<std::int64_t, std::vector<const FitRun*>> by_size;
  for (const FitRun& run : runs) {
    if (!run.points.empty()) by_size[run.batch_size].push_back(&run);
  }
  std::vector<FitRow> rows;
  for (const auto& [batch_size, same_size] : by_size) {
    rows.push_back(summarize_runs_of_one_size(batch_size, same_size));
  }
  const FitRow* best = nullptr;
  for (const FitRow& row : rows) {
    const double metric = row.final_metric.median;
    if (!std::isfinite(metric)) continue;  // this size diverged
    if (best == nullptr || (higher_is_better ? metric > best->final_metric.median
                                             : metric < best->final_metric.median)) {
      best = &row;
    }
  }
  if (best == nullptr) return rows;
  const Interval best_metric = best->final_metric;
  for (FitRow& row : rows) {
    row.good_enough = row.final_metric.covers && best_metric.covers
                          ? row.final_metric.overlaps(best_metric)
                          : is_near(row.final_metric.median, best_metric.median);
  }
  return rows;
}

Recommendation recommend_predict(const PredictChapter& chapter) {
  Recommendation answer;
  answer.use = StudyUse::kPredict;
  if (chapter.rows.empty()) {
    answer.absent_reason = "no batch size was measured";
    return answer;
  }
  std::vector<std::int64_t> sizes;
  std::vector<double> rates;
  for (const PredictRow& row : chapter.rows) {
    sizes.push_back(row.batch_size);
    rates.push_back(row.samples_per_s().median);
  }
  const std::size_t knee = find_knee(sizes, rates);
  const PredictRow& row = chapter.rows[knee];
  answer.batch_size = row.batch_size;
  answer.why = fmt::format(
      "The smallest size within 5 % of the best throughput: {} samples/s, {} µs a sample",
      format_interval(row.samples_per_s()), format_figure(row.us_per_sample().median));
  add_neighbours(chapter.rows, knee, &answer, predict_neighbour);
  return answer;
}

Recommendation recommend_fit(const FitChapter& chapter) {
  Recommendation answer;
  answer.use = StudyUse::kFit;
  if (chapter.rows.empty()) {
    answer.absent_reason = "no training run was finished";
    return answer;
  }
  std::optional<std::size_t> chosen;
  std::size_t candidates = 0;
  for (std::size_t i = 0; i < chapter.rows.size(); ++i) {
    if (!chapter.rows[i].good_enough) continue;
    ++candidates;
    if (!chosen || chapter.rows[i].seconds.median < chapter.rows[*chosen].seconds.median)
      chosen = i;
  }
  if (!chosen) {
    answer.absent_reason = "training diverged at every batch size; a lower --lr may help";
    return answer;
  }
  const FitRow& row = chapter.rows[*chosen];
  answer.batch_size = row.batch_size;
  answer.why = fmt::format(
      "The least time, {} a run, among the {} of {} sizes whose final {} {} the best: {:.4f}",
      format_duration(row.seconds.median), candidates, chapter.rows.size(), chapter.metric,
      row.final_metric.covers ? "chance cannot tell from" : "is within 1 % of",
      row.final_metric.median);
  if (row.final_metric.covers) {
    answer.why += fmt::format(" ({:.4f}–{:.4f}, {} seeds)", row.final_metric.low,
                              row.final_metric.high, row.seeds);
  }
  add_neighbours(chapter.rows, *chosen, &answer, fit_neighbour);
  return answer;
}

}  // namespace batchwise

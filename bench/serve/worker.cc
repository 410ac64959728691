// SPDX-License-Identifier: Apache-2.0
// Reads cells of workloads as JSON, one a line, and answers each with a line: the goodput of
// `deadline`, of the best fixed setting of `delay` (all of a grid are tried on the same arrivals),
// and a bound for any schedule. A cell {"speed": policy} answers with simulated requests a second.
#include <iostream>
#include <nlohmann/json.hpp>

#include "../bench/serve/clairvoyant.h"
#include "batching/simulator.h"
#include "measure/sampling.h"

namespace batchwise::bench {
namespace {

using nlohmann::json;

struct Cell {
  std::vector<CostCurve> models;
  std::vector<Arrival> arrivals;
  double time_of_one_us = 0;  // the first model's
  double longest_us = 0;      // deadline
  std::int64_t most_rows = 1;
};

CostCurve read_curve(const json& points) {
  std::vector<CostPoint> found;
  for (const json& point : points) {
    const double us = point.at(1).get<double>();
    found.push_back({point.at(0).get<std::int64_t>(), {us, us, us}, 0});
  }
  return CostCurve(std::move(found));
}

std::vector<RequestKind> read_kinds(const json& cell, std::span<const CostCurve> models) {
  std::vector<RequestKind> kinds;
  for (std::size_t m = 0; m < models.size(); ++m) {
    for (const json& times : cell.at("deadlines")) {
      RequestKind kind;
      kind.rows_low = cell.at("rows").at(0).get<std::int64_t>();
      kind.rows_high = cell.at("rows").at(1).get<std::int64_t>();
      kind.timeout_us = times.get<double>() * models[m].us(1);
      kind.model = static_cast<std::int32_t>(m);
      kinds.push_back(kind);
    }
  }
  return kinds;
}

Cell read_cell(const json& row) {
  Cell cell;
  for (const json& points : row.at("models")) cell.models.push_back(read_curve(points));
  ArrivalOptions options;
  options.kinds = read_kinds(row, cell.models);
  double work_us = 0;
  for (const RequestKind& kind : options.kinds) {
    const CostCurve& curve = cell.models[static_cast<std::size_t>(kind.model)];
    work_us += 0.5 * static_cast<double>(kind.rows_low + kind.rows_high) *
               curve.best_us_per_row(curve.max_rows()) / static_cast<double>(options.kinds.size());
    cell.longest_us = std::max(cell.longest_us, kind.timeout_us);
    cell.most_rows = std::max(cell.most_rows, curve.max_rows());
  }
  options.rate_per_s = row.at("load").get<double>() / work_us * 1e6;
  options.pattern = parse_arrival_pattern(row.at("arrivals").get<std::string>(), "arrivals");
  // A burst is long beside a batch and short beside the run.
  options.burst_us = 100 * work_us / row.at("load").get<double>();
  options.requests = row.at("requests").get<std::int64_t>();
  options.seed = row.value("seed", 1U);
  ArrivalSource source(options);
  Arrival arrival;
  while (source.next(arrival)) cell.arrivals.push_back(arrival);
  cell.time_of_one_us = cell.models[0].us(1);
  return cell;
}

SimulationResult run(const Cell& cell, const SchedulerOptions& scheduler) {
  SimulationOptions options;
  options.models = cell.models;
  options.scheduler = scheduler;
  return simulate(options, ArrivalSource(cell.arrivals));
}

struct BestDelay {
  SimulationResult result;
  SchedulerOptions options;
  int tried = 0;
};

// Every combination of the largest batch, the queue delay and the queue timeout. A preferred size
// only ends a delay early, as the largest batch does.
BestDelay search_delay(const Cell& cell) {
  BestDelay best;
  double most = -1;
  for (std::int64_t rows = 1; rows <= cell.most_rows; rows *= 2) {
    for (const double delay : {0.0, 0.1, 0.3, 1.0, 3.0}) {
      for (const double timeout : {0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 0.0}) {
        SchedulerOptions options;
        options.policy = Policy::kDelay;
        options.max_batch_rows = rows;
        options.max_queue_delay_us = delay * cell.time_of_one_us;
        options.queue_timeout_us = timeout > 0 ? timeout * cell.longest_us : kNever;
        if (delay > 0 && options.max_queue_delay_us >= cell.longest_us) continue;
        const SimulationResult result = run(cell, options);
        ++best.tried;
        if (result.goodput_per_s() <= most) continue;
        most = result.goodput_per_s();
        best.result = result;
        best.options = options;
      }
    }
  }
  return best;
}

json compare(const json& row) {
  const Cell cell = read_cell(row);
  const SimulationResult ours = run(cell, {});
  SchedulerOptions single;
  single.policy = Policy::kGreedy;
  single.max_batch_rows = 1;
  json found = {{"deadline", ours.goodput_per_s()},
                {"deadline_p50_us", ours.p50_us},
                {"deadline_mean_batch", ours.mean_batch()},
                {"late", ours.late},
                {"answered_share", static_cast<double>(ours.answered - ours.late) /
                                       static_cast<double>(ours.requests)},
                {"bound_share", clairvoyant_bound(cell.arrivals, cell.models, 1) /
                                    static_cast<double>(ours.requests)},
                {"single_p50_us", run(cell, single).p50_us}};
  if (row.value("ours_only", false)) return found;
  const BestDelay best = search_delay(cell);
  found["delay"] = best.result.goodput_per_s();
  found["delay_share"] = static_cast<double>(best.result.answered - best.result.late) /
                         static_cast<double>(best.result.requests);
  found["delay_max_batch"] = best.options.max_batch_rows;
  found["delay_us"] = best.options.max_queue_delay_us;
  found["delay_timeout_us"] =
      best.options.queue_timeout_us < kNever ? json(best.options.queue_timeout_us) : json(nullptr);
  found["tried"] = best.tried;
  return found;
}

json measure_speed(const json& row) {
  const Cell cell = read_cell(row);
  SchedulerOptions scheduler;
  scheduler.policy = parse_policy(row.at("speed").get<std::string>(), "speed");
  scheduler.latency_target_us = cell.longest_us;
  std::vector<double> rates;
  for (int i = 0; i < 5; ++i) {
    const Stopwatch watch;
    const SimulationResult result = run(cell, scheduler);
    rates.push_back(static_cast<double>(result.requests) / watch.seconds());
  }
  const Interval rate = median_interval(rates);
  return {{"median_per_s", rate.median}, {"low_per_s", rate.low}, {"high_per_s", rate.high}};
}

}  // namespace
}  // namespace batchwise::bench

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto row = nlohmann::json::parse(line);
    const auto found = row.contains("speed") ? batchwise::bench::measure_speed(row)
                                             : batchwise::bench::compare(row);
    std::cout << found.dump() << std::endl;
  }
  return 0;
}

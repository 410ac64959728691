// SPDX-License-Identifier: Apache-2.0
#include "study/serve_runs.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/check.h"
#include "study/serve_client.h"
#include "study/serve_layouts.h"
#include "study/study_json.h"

namespace batchwise {
namespace {

// Blocks of each rate and policy, in turn: a drift of the machine meets all alike.
constexpr int kBlocks = 3;
// Of a block: fewer say nothing of a 99th percentile, more take long to keep.
constexpr std::int64_t kLeastRequests = 100, kMostRequests = 20'000;

std::string run_key(const StudyContext& context, const StudiedModel& model,
                    const ServeChapter& chapter, Policy policy, double rate_per_s) {
  const ServeLayout& layout = chapter.layout();
  return fmt::format("serve/{}/{}x{}/load/{}/max-batch={}/p99={:g}/rate={:.1f}/threads={}",
                     model.key, layout.instances, layout.threads, policy_name(policy),
                     layout.answer.max_batch, chapter.p99_limit_us, rate_per_s, context.threads());
}

// A rate with a policy, and what its blocks gave.
struct Run {
  ServeLoad load;
  double share = 0, rate_per_s = 0;
  std::string key;
  std::vector<LoadBlock> blocks;
};

double quantile(std::vector<double> values, double share) {
  return values.empty() ? 0 : quantile_interval(values, share).median;
}

ServeRun summarize(const Run& run) {
  ServeRun row;
  row.policy = policy_name(run.load.policy);
  row.share = run.share;
  row.blocks = static_cast<std::int64_t>(run.blocks.size());
  std::vector<double> p50, p99, mean_batch, goodput;
  for (const LoadBlock& block : run.blocks) {
    row.requests += block.requests;
    row.refused += block.refused;
    row.late += block.late;
    p50.push_back(quantile(block.latencies_us, 0.5));
    p99.push_back(quantile(block.latencies_us, 0.99));
    mean_batch.push_back(block.mean_batch);
    goodput.push_back(static_cast<double>(block.answered - block.late) / block.seconds);
  }
  row.p50_us = median_interval(p50);
  row.p99_us = median_interval(p99);
  row.measured = {run.rate_per_s, median_interval(goodput).median, row.p50_us.median,
                  row.p99_us.median, median_interval(mean_batch).median};
  return row;
}

void keep(const StudyContext& context, const StudiedModel& model, const Run& run,
          const ServeRun& row) {
  FinishedExperiment experiment;
  experiment.key = run.key;
  experiment.chapter = "serve";
  experiment.model = model.info.name;
  experiment.outcome = nlohmann::json(row).dump();
  for (std::size_t i = 0; i < run.blocks.size(); ++i) {
    const LoadBlock& block = run.blocks[i];
    const auto repeat = static_cast<std::int64_t>(i);
    experiment.seconds += block.seconds;
    experiment.measurements.push_back({"mean batch", repeat, block.mean_batch, "rows"});
    experiment.measurements.push_back(
        {"refused", repeat, static_cast<double>(block.refused), "requests"});
    const auto latencies = rounded_latencies(block.latencies_us, repeat);
    experiment.latencies.insert(experiment.latencies.end(), latencies.begin(), latencies.end());
  }
  context.store().save(experiment);
}

std::vector<Run> planned_runs(const StudyContext& context, const StudiedModel& model,
                              const ServeChapter& chapter, const std::vector<ServeLoad>& loads) {
  std::vector<Run> runs;
  for (const ServeLoad& load : loads) {
    for (const double share : served_shares()) {
      const double rate = share * chapter.layout().answer.at.rate_per_s;
      runs.push_back({load, share, rate, run_key(context, model, chapter, load.policy, rate), {}});
    }
  }
  return runs;
}

std::unique_ptr<ServeClient> start(const StudyContext& context, const StudiedModel& model,
                                   const LoadedSamples& samples, const ServeChapter& chapter,
                                   const SchedulerOptions& scheduler) {
  const ServeLayout& layout = chapter.layout();
  serve::ServerOptions options;
  options.scheduler = scheduler;
  options.instances = static_cast<int>(layout.instances);
  options.threads = static_cast<int>(layout.threads);
  options.max_batch = layout.answer.max_batch;
  options.p99_us = chapter.p99_limit_us;
  options.resources.memory_limit_bytes = context.options().resources.memory_limit_bytes;
  options.curve = std::make_shared<const CostCurve>(serving_layout(layout).curve);
  return std::make_unique<ServeClient>(model, samples, options,
                                       [&context] { context.check_stop(); });
}

// One block of every run of a policy, with a server of its own.
void run_block(const StudyContext& context, const StudiedModel& model, const LoadedSamples& samples,
               const ServeChapter& chapter, Policy policy, int block, double seconds,
               std::vector<Run*>* runs) {
  std::unique_ptr<ServeClient> client;
  for (Run* run : *runs) {
    if (run->load.policy != policy) continue;
    if (!client) {
      client = start(context, model, samples, chapter, run->load.scheduler);
      const ServeLayout& layout = chapter.layout();
      client->run_closed(2 * layout.instances * layout.answer.max_batch, 0.2 * seconds);
    }
    context.check_stop();
    LoadPlan plan;
    plan.rate_per_s = run->rate_per_s;
    plan.requests = std::clamp(static_cast<std::int64_t>(run->rate_per_s * seconds), kLeastRequests,
                               kMostRequests);
    plan.p99_us = chapter.p99_limit_us;
    plan.seed = static_cast<std::uint64_t>(block);
    run->blocks.push_back(client->run_open(plan));
  }
}

}  // namespace

const std::vector<Policy>& served_policies() {
  static const std::vector<Policy> policies{Policy::kDeadline, Policy::kDelay, Policy::kGreedy};
  return policies;
}

const std::vector<double>& served_shares() {
  static const std::vector<double> shares{0.3, 0.6, 0.9};
  return shares;
}

std::vector<StoredLatency> rounded_latencies(const std::vector<double>& us, std::int64_t repeat) {
  std::map<double, std::int64_t> counts;
  for (const double one : us) {
    const double unit = std::pow(10.0, std::floor(std::log10(std::max(one, 1e-3))) - 2);
    ++counts[std::round(one / unit) * unit];
  }
  std::vector<StoredLatency> rounded;
  for (const auto& [value, count] : counts) rounded.push_back({repeat, value, count});
  return rounded;
}

std::vector<ServeRun> run_loads(const StudyContext& context, const StudiedModel& model,
                                const LoadedSamples& samples, const ServeChapter& chapter,
                                const std::vector<ServeLoad>& loads, double seconds) {
  std::vector<Run> runs = planned_runs(context, model, chapter, loads);
  std::vector<Run*> missing;
  for (Run& run : runs) {
    if (!context.store().has(run.key)) missing.push_back(&run);
  }
  const double block_seconds = seconds / (kBlocks * static_cast<double>(runs.size()));
  for (int block = 0; block < kBlocks && !missing.empty(); ++block) {
    for (const ServeLoad& load : loads) {
      context.report(model, "Serve", fmt::format("real load, {}", policy_name(load.policy)), block,
                     kBlocks);
      run_block(context, model, samples, chapter, load.policy, block, block_seconds, &missing);
    }
  }
  std::vector<ServeRun> rows;
  for (Run* run : missing) keep(context, model, *run, summarize(*run));
  for (const Run& run : runs) {
    rows.push_back(nlohmann::json::parse(*context.store().load(run.key)).get<ServeRun>());
  }
  return rows;
}

}  // namespace batchwise

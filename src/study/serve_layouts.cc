// SPDX-License-Identifier: Apache-2.0
#include "study/serve_layouts.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/check.h"
#include "predict/run_predict.h"
#include "study/serve_client.h"
#include "study/study_json.h"

namespace batchwise {
namespace {

// A size whose calls are so long that fewer than this fit into the time is left out.
constexpr double kLeastCalls = 12;
// Instances that run at once are handed out together: for so long that this costs nothing.
constexpr double kLeastBlockUs = 200;

// The instances of a layout, which run the same batch at the same time.
class LayoutProgram {
 public:
  LayoutProgram(const StudiedModel& model, const LoadedSamples& samples, InstanceThreads layout,
                std::int64_t most)
      : layout_(layout), inputs_(samples.pointers()), callers_(layout.instances) {
    for (int i = 0; i < layout.instances; ++i) {
      predictors_.push_back(std::make_unique<Predictor>(model.engine, most, layout.threads));
      std::vector<void*>& outputs = outputs_.emplace_back();
      for (std::size_t o = 0; o < model.engine->source().outputs.size(); ++o) {
        memory_.emplace_back(predictors_.back()->output_bytes(o) * most);
        outputs.push_back(memory_.back().data());
      }
    }
  }
  void run(std::int64_t rows, std::int64_t calls) {
    callers_.run([&](int i) {
      const auto at = static_cast<std::size_t>(i);
      for (std::int64_t c = 0; c < calls; ++c) predictors_[at]->run(inputs_, rows, outputs_[at]);
    });
  }
  InstanceThreads layout() const { return layout_; }

 private:
  InstanceThreads layout_;
  std::vector<const void*> inputs_;
  ThreadPool callers_;
  std::vector<std::unique_ptr<Predictor>> predictors_;
  std::vector<MappedBuffer> memory_;
  std::vector<std::vector<void*>> outputs_;
};

std::string layout_key(const StudiedModel& model, const InstanceThreads& layout) {
  return fmt::format("serve/{}/{}x{}", model.key, layout.instances, layout.threads);
}
std::string row_key(const StudiedModel& model, const InstanceThreads& layout, std::int64_t rows) {
  return fmt::format("{}/batch={}", layout_key(model, layout), rows);
}

MemoryParts parts_of(const StudyContext& context, const StudiedModel& model, std::int64_t rows,
                     int threads) {
  return plan_micro_batch(*model.engine, context.data().validation(), rows, rows, threads, false)
      .parts;
}

// What an instance holds to run a batch.
std::int64_t instance_bytes(const StudyContext& context, const StudiedModel& model,
                            std::int64_t rows, int threads) {
  const MemoryParts parts = parts_of(context, model, rows, threads);
  return parts.activation_bytes + parts.scratch_bytes + parts.io_bytes;
}

// The sizes to measure: up to what a request may wait for, and what fits into time and memory.
std::vector<std::int64_t> sizes_to_measure(const StudyContext& context, const StudiedModel& model,
                                           double seconds) {
  const std::vector<std::int64_t>& wanted = context.options().predict_batch_sizes;
  std::vector<std::int64_t> sizes;
  if (!model.engine->mixes_samples().empty()) return sizes;
  const MemoryRoom room = memory_room(context.options().resources);
  const DataSource& data = context.data().validation();
  const LoadedSamples samples =
      load_samples(model.graph, data, {0, data.num_samples()}, wanted.back());
  double spent = 0;
  for (const std::int64_t size : wanted) {
    const MemoryParts parts = parts_of(context, model, size, context.threads());
    if (!room.fits(parts.total())) break;
    LayoutProgram one(model, samples, {1, context.threads()}, size);
    one.run(size, 1);
    const Stopwatch watch;
    one.run(size, 1);
    spent += watch.seconds();
    context.check_stop();
    const auto layouts = static_cast<double>(thread_layouts(context.threads()).size());
    const bool too_long = watch.us() > context.options().p99_us;
    if (!sizes.empty() && (too_long || spent * layouts * kLeastCalls > seconds)) break;
    sizes.push_back(size);
  }
  return sizes;
}

void keep(const StudyContext& context, const StudiedModel& model, const InstanceThreads& layout,
          const ServeBatchRow& row, const std::vector<double>& us) {
  FinishedExperiment experiment;
  experiment.key = row_key(model, layout, row.batch_size);
  experiment.chapter = "serve";
  experiment.model = model.info.name;
  experiment.outcome = nlohmann::json(row).dump();
  for (std::size_t i = 0; i < us.size(); ++i) {
    experiment.measurements.push_back({"time a batch", static_cast<std::int64_t>(i), us[i], "us"});
    experiment.seconds += us[i] * 1e-6;
  }
  context.store().save(experiment);
}

// A size of a layout that is measured in turn with all others.
struct Measured {
  LayoutProgram* program;
  std::int64_t rows, calls;
};

void measure_sizes(const StudyContext& context, const StudiedModel& model,
                   const std::vector<Measured>& all, double seconds) {
  std::vector<Candidate> candidates;
  for (const Measured& one : all) {
    candidates.push_back(
        {fmt::format("batch {}", one.rows), [one] { one.program->run(one.rows, one.calls); }});
  }
  const Stopwatch watch;
  SamplingOptions sampling;
  sampling.max_seconds = seconds;
  sampling.min_repeats = 15;
  sampling.should_stop = [&] {
    context.report(model, "Serve", "batches of all layouts in turn",
                   std::min(watch.seconds(), seconds), seconds);
    context.check_stop();
    return false;
  };
  const std::vector<Samples> samples = measure_interleaved(candidates, sampling);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const InstanceThreads layout = all[i].program->layout();
    std::vector<double> us = samples[i].us;
    for (double& one : us) one /= static_cast<double>(all[i].calls);
    ServeBatchRow row;
    row.batch_size = all[i].rows;
    row.us = median_interval(us);
    row.repeats = static_cast<std::int64_t>(us.size());
    row.bytes = instance_bytes(context, model, row.batch_size, layout.threads);
    keep(context, model, layout, row, us);
  }
}

std::int64_t calls_in_block(LayoutProgram& program, std::int64_t rows) {
  if (program.layout().instances == 1) return 1;
  program.run(rows, 1);
  const Stopwatch watch;
  program.run(rows, 1);
  return static_cast<std::int64_t>(
      std::ceil(kLeastBlockUs / std::max(watch.us(), kLeastBlockUs / 100)));
}

// Measures what the store lacks.
void measure_missing(const StudyContext& context, const StudiedModel& model,
                     const std::vector<std::int64_t>& sizes, double seconds) {
  const DataSource& data = context.data().validation();
  const LoadedSamples samples =
      load_samples(model.graph, data, {0, data.num_samples()}, sizes.back());
  std::vector<std::unique_ptr<LayoutProgram>> programs;
  std::vector<Measured> all;
  for (const InstanceThreads& layout : thread_layouts(context.threads())) {
    programs.push_back(nullptr);
    for (const std::int64_t size : sizes) {
      if (context.store().has(row_key(model, layout, size))) continue;
      if (!programs.back()) {
        programs.back() = std::make_unique<LayoutProgram>(model, samples, layout, sizes.back());
      }
      all.push_back({programs.back().get(), size, calls_in_block(*programs.back(), size)});
    }
  }
  if (!all.empty()) measure_sizes(context, model, all, seconds);
}

// The sizes that an earlier run of the study measured of every layout, or chose to.
std::vector<std::int64_t> settled_sizes(const StudyContext& context, const StudiedModel& model,
                                        double seconds) {
  const std::string key = fmt::format("serve/{}/threads={}/p99={:g}/sizes", model.key,
                                      context.threads(), context.options().p99_us);
  if (const auto kept = context.store().load(key)) {
    return nlohmann::json::parse(*kept).get<std::vector<std::int64_t>>();
  }
  std::vector<std::int64_t> sizes = sizes_to_measure(context, model, seconds);
  context.store().save(
      {key, "serve", model.info.name, nlohmann::json(sizes).dump(), 0, {}, {}, {}});
  return sizes;
}

// The rows that the server answers a second while it has always more to do, medians of some.
struct Overhead {
  double one_us = 0, many_us = 0;  // that a batch of 1, and of `many`, takes in all
  std::int64_t many = 1;
};

void solve_overhead(const Overhead& overhead, ServeLayout* layout) {
  const CostCurve curve = serving_layout(*layout).curve;
  const double one = std::max(0.0, overhead.one_us - curve.us(1));
  const double many = std::max(0.0, overhead.many_us - curve.us(overhead.many));
  layout->request_us =
      overhead.many == 1 ? 0 : std::max(0.0, (many - one) / static_cast<double>(overhead.many - 1));
  layout->batch_us = std::max(0.0, one - layout->request_us);
}

// The median time of a batch in the server, from its throughput; each of the blocks is kept.
double busy_batch_us(const StudyContext& context, const StudiedModel& model,
                     const LoadedSamples& samples, const ServeLayout& layout, std::int64_t rows,
                     double seconds) {
  const InstanceThreads shape{static_cast<int>(layout.instances), static_cast<int>(layout.threads)};
  const std::string key = row_key(model, shape, rows) + "/busy";
  if (const auto kept = context.store().load(key)) return nlohmann::json::parse(*kept);
  serve::ServerOptions options;
  options.scheduler.policy = Policy::kGreedy;
  options.instances = shape.instances;
  options.threads = shape.threads;
  options.max_batch = rows;
  options.p99_us = 3600e6;
  options.resources.memory_limit_bytes = context.options().resources.memory_limit_bytes;
  options.curve = std::make_shared<const CostCurve>(serving_layout(layout).curve);
  ServeClient client(model, samples, options, [&context] { context.check_stop(); });
  constexpr int kBlocks = 3;
  FinishedExperiment experiment{key, "serve", model.info.name, "", seconds, {}, {}, {}};
  std::vector<double> us;
  for (int block = 0; block < kBlocks; ++block) {
    context.check_stop();
    const double rate = client.run_closed(2 * rows * layout.instances, seconds / kBlocks);
    if (!(rate > 0)) continue;
    us.push_back(static_cast<double>(layout.instances * rows) * 1e6 / rate);
    experiment.measurements.push_back({"requests a second", block, rate, "1/s"});
  }
  if (us.empty()) us.push_back(serving_layout(layout).curve.us(rows));  // too slow to tell
  const double median = median_interval(us).median;
  experiment.outcome = nlohmann::json(median).dump();
  context.store().save(experiment);
  return median;
}

}  // namespace

std::vector<ServeLayout> measure_layouts(const StudyContext& context, const StudiedModel& model,
                                         double seconds) {
  const std::vector<std::int64_t> sizes = settled_sizes(context, model, seconds);
  if (sizes.empty()) return {};
  measure_missing(context, model, sizes, seconds);
  std::vector<ServeLayout> layouts;
  for (const InstanceThreads& layout : thread_layouts(context.threads())) {
    ServeLayout& found = layouts.emplace_back();
    found.instances = layout.instances;
    found.threads = layout.threads;
    for (const std::int64_t size : sizes) {
      const auto kept = context.store().load(row_key(model, layout, size));
      BW_CHECK(kept.has_value());
      found.rows.push_back(nlohmann::json::parse(*kept).get<ServeBatchRow>());
    }
  }
  return layouts;
}

void measure_overhead(const StudyContext& context, const StudiedModel& model,
                      const LoadedSamples& samples, double seconds,
                      std::vector<ServeLayout>* layouts) {
  constexpr std::int64_t kMany = 64;
  const double block = seconds / (2 * static_cast<double>(layouts->size()));
  double done = 0;
  for (ServeLayout& layout : *layouts) {
    context.report(model, "Serve", "what the server spends beside the model", done++,
                   static_cast<double>(layouts->size()));
    Overhead overhead;
    overhead.many = std::min(kMany, layout.rows.back().batch_size);
    overhead.one_us = busy_batch_us(context, model, samples, layout, 1, block);
    overhead.many_us = overhead.many == 1
                           ? overhead.one_us
                           : busy_batch_us(context, model, samples, layout, overhead.many, block);
    solve_overhead(overhead, &layout);
  }
}

ServingLayout serving_layout(const ServeLayout& layout) {
  std::vector<CostPoint> points;
  for (const ServeBatchRow& row : layout.rows) {
    points.push_back({row.batch_size, row.us, row.bytes});
  }
  return {static_cast<int>(layout.instances), static_cast<int>(layout.threads),
          CostCurve(std::move(points)), layout.batch_us, layout.request_us};
}

std::int64_t shared_bytes(const StudyContext& context, const StudiedModel& model) {
  const MemoryParts parts = parts_of(context, model, 1, context.threads());
  return parts.weights_bytes + parts.packed_weights_bytes + parts.code_bytes;
}

}  // namespace batchwise

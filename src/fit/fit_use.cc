// SPDX-License-Identifier: Apache-2.0
#include "fit/fit_use.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "base/atomic_file.h"
#include "base/check.h"
#include "measure/process_memory.h"
#include "measure/sampling.h"
#include "onnx_io/onnx_io.h"

namespace batchwise {
namespace {

FitEpoch to_epoch(const EpochRecord& record, const std::string& metric) {
  return {record.epoch,         record.steps,      record.samples,     record.loss,
          record.metric,        record.val_loss,   record.val_metric,  record.samples_per_s,
          record.learning_rate, record.batch_size, record.noise_scale, metric};
}

// JSON has no infinity and no nan.
std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : std::string("null");
}

// A line of the log: what the epoch showed.
std::string log_line(const EpochRecord& e, const std::string& metric) {
  std::string line =
      fmt::format("{{\"epoch\": {}, \"steps\": {}, \"samples\": {}, \"loss\": {}, \"{}\": {}",
                  e.epoch, e.steps, e.samples, number(e.loss), metric, number(e.metric));
  if (e.val_loss) {
    line += fmt::format(", \"val_loss\": {}, \"val_{}\": {}", number(*e.val_loss), metric,
                        number(*e.val_metric));
  }
  if (e.noise_scale) line += fmt::format(", \"noise_scale\": {}", number(*e.noise_scale));
  return line + fmt::format(
                    ", \"samples_per_s\": {:.1f}, \"learning_rate\": {}, \"batch_size\": {}, "
                    "\"seconds\": {:.3f}}}\n",
                    e.samples_per_s, e.learning_rate, e.batch_size, e.seconds);
}

// The trained values in place of the initial ones.
void take_weights(Graph& graph, const TrainingSession& session) {
  const auto take = [&](const std::string& name) {
    const ValueId id = graph.find(name);
    BW_CHECK(id != kNoValue && graph.value(id).constant, "{} is no constant", name);
    graph.value(id).constant = session.state_tensor(name, graph.shape(id));
  };
  for (const Parameter& parameter : session.model().parameters) take(parameter.name);
  for (const std::string& name : session.model().statistics) take(name);
}

// The pages of a mapped model file are not needed while the session holds the weights.
void release_initial_values(const Graph& graph) {
  for (const Value& value : graph.values) {
    if (value.constant) value.constant->release_pages();
  }
}

}  // namespace

FitReport run_fit_use(FitUse use, const DataSource& train, const std::string& output,
                      const FitSettings& settings, const FitEvents& events) {
  // Asked before the work, not after it.
  if (!output.empty()) AtomicFile probe(output);
  std::optional<AtomicFile> log;
  if (!settings.log_path.empty()) log.emplace(settings.log_path);
  auto session = std::make_unique<TrainingSession>(use.model, use.options.training);
  release_initial_values(use.exported);
  FitReport report;
  report.metric_name = use.metric_name;
  report.threads = use.options.training.threads;
  report.micro_batch = session->micro_batch();
  if (settings.micro_batch > 0 && report.micro_batch > settings.micro_batch && events.on_note) {
    events.on_note(fmt::format("micro-batch {} is rounded up to {}, whole granules",
                               settings.micro_batch, report.micro_batch));
  }
  FitCallbacks callbacks;
  callbacks.on_step = [&](std::int64_t step, const StepResult& sums) {
    if (!std::isfinite(sums.loss_sum)) report.diverged_step = step;
  };
  callbacks.on_progress = [&](const FitProgress& p) {
    if (report.diverged_step) return false;
    return !events.on_step || events.on_step({p.epoch, p.epochs, p.samples, p.samples_in_epoch,
                                              p.loss, p.metric, p.samples_per_s});
  };
  callbacks.on_epoch = [&](const EpochRecord& record) {
    if (report.diverged_step) return;  // figures that say nothing
    if (log) log->write(log_line(record, use.metric_name));
    report.epochs.push_back(to_epoch(record, use.metric_name));
    if (events.on_epoch) events.on_epoch(report.epochs.back());
  };
  const Stopwatch watch;
  const FitResult result = run_fit(*session, train, use.validation, use.options, callbacks);
  report.seconds = watch.seconds();
  report.batch_size = result.batch_size;
  report.steps = result.steps;
  report.learning_rate = use.options.learning_rate > 0
                             ? use.options.learning_rate
                             : default_learning_rate(use.options.training.optimizer.kind);
  report.stopped = result.stopped && !report.diverged_step;
  report.planned = use.parts;
  report.base = settings.resources.base;
  report.weights_sha256 = session->weights_sha256();
  if (!output.empty() && !report.diverged_step) {
    take_weights(use.exported, *session);
    session.reset();
    use.model.reset();
    onnx_io::write_onnx(use.exported, output);
  }
  if (log && !report.diverged_step) log->finish();
  if (report.base.rss_bytes > 0) {
    report.measured_peak_rss_bytes = read_process_memory().peak_rss_bytes - report.base.rss_bytes;
  }
  return report;
}

}  // namespace batchwise

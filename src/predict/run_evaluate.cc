// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "binding/data_binding.h"
#include "data/data_statistics.h"
#include "measure/process_memory.h"
#include "measure/sampling.h"
#include "metrics/compare.h"
#include "metrics/loss.h"
#include "predict/loader_options.h"
#include "predict/run_predict.h"

namespace batchwise {
namespace {

Loss choose_loss(const std::string& name, const DataSource& data) {
  if (!data.label()) {
    throw Error(ErrorCode::kInvalidInput, fmt::format("[{}] has no labels", data.path()),
                "--label names the column or array with the labels");
  }
  if (!name.empty()) return parse_loss(name);
  return data.label()->dtype == DType::kInt64 ? Loss::kCrossEntropy : Loss::kMeanSquaredError;
}

// The model with its loss: outputs are the loss of each sample and the predictions, the last input
// the labels.
Graph with_loss(const Graph& model, Loss loss, const std::string& output_name) {
  Graph graph = model;
  ValueId output = graph.outputs.front();
  for (ValueId id : graph.outputs) {
    if (graph.value(id).name == output_name) output = id;
  }
  if (!output_name.empty() && graph.value(output).name != output_name) {
    fail_input("--output", "{} is no output", output_name);
  }
  graph.outputs = {add_loss(graph, loss, output).loss, output};
  return graph;
}

struct Sums {
  std::int64_t samples = 0, correct = 0;
  double loss = 0, absolute_error = 0;

  void add(Loss kind, const float* losses, const float* outputs, const void* labels,
           std::int64_t count, std::int64_t width) {
    samples += count;
    for (std::int64_t s = 0; s < count; ++s) {
      loss += static_cast<double>(losses[s]);
      const std::span row(outputs + s * width, static_cast<std::size_t>(width));
      if (kind == Loss::kCrossEntropy) {
        correct += class_of(row) == static_cast<const std::int64_t*>(labels)[s];
        continue;
      }
      const float* target = static_cast<const float*>(labels) + s * width;
      double sum = 0;
      for (std::size_t j = 0; j < row.size(); ++j) {
        sum += std::abs(static_cast<double>(row[j]) - static_cast<double>(target[j]));
      }
      absolute_error += sum / static_cast<double>(width);
    }
  }
};

}  // namespace

EvaluateReport run_evaluate(const Graph& source, const DataSource& data,
                            const EvaluateOptions& options) {
  const Loss loss = choose_loss(options.loss, data);
  const DataBinding binding = bind_data(source, data);
  const auto model = std::make_shared<const EngineModel>(
      with_loss(source, loss, options.output_name), ModelOptions{});
  const OutputInfo prediction = output_infos(*model)[1];
  const std::int64_t width = prediction.shape.elements();
  if (loss == Loss::kCrossEntropy) {
    check_labels(data, width);
  } else if (data.label()->shape.elements() != width) {
    fail_input(data.path(), "a sample has {} targets, the model's output '{}' {}",
               data.label()->shape.elements(), prediction.name, width);
  }
  const PredictPlan plan = choose_predict_plan(
      *model, data, {options.batch_size, options.micro_batch, true, false}, options.resources);
  Predictor predictor(model, plan.micro_batch, plan.threads);
  MappedBuffer losses(plan.micro_batch * 4), outputs(plan.micro_batch * width * 4);
  const DType label_dtype = loss == Loss::kCrossEntropy ? DType::kInt64 : DType::kFloat32;
  BatchLoader loader(
      data, predict_loader_options(binding, plan.batch_size, plan.micro_batch, true, label_dtype));
  std::vector<const void*> inputs(binding.feature_of_input.size() + 1);
  Sums sums;
  const Stopwatch watch;
  while (const SamplePiece* piece = loader.next()) {
    for (std::size_t i = 0; i + 1 < inputs.size(); ++i) {
      inputs[i] = piece->features[static_cast<std::size_t>(binding.feature_of_input[i])];
    }
    inputs.back() = piece->labels;
    const std::array<void*, 2> targets{losses.data(), outputs.data()};
    predictor.run(inputs, piece->count, targets);
    sums.add(loss, reinterpret_cast<const float*>(losses.data()),
             reinterpret_cast<const float*>(outputs.data()), piece->labels, piece->count, width);
    if (options.on_progress && !options.on_progress(sums.samples, data.num_samples())) {
      throw Error(ErrorCode::kInterrupted, fmt::format("[evaluate] interrupted at {} of {}",
                                                       sums.samples, data.num_samples()));
    }
  }
  EvaluateReport report;
  report.samples = sums.samples;
  report.batch_size = plan.batch_size;
  report.micro_batch = plan.micro_batch;
  const double count = static_cast<double>(std::max<std::int64_t>(sums.samples, 1));
  report.loss = sums.loss / count;
  const bool classes = loss == Loss::kCrossEntropy;
  report.metric_name = classes ? "accuracy" : "mean_absolute_error";
  report.metric = (classes ? static_cast<double>(sums.correct) : sums.absolute_error) / count;
  report.seconds = watch.seconds();
  report.samples_per_s = count / std::max(report.seconds, 1e-9);
  report.planned = plan.parts;
  report.base = options.resources.base;
  if (report.base.rss_bytes > 0) {
    report.measured_peak_rss_bytes = read_process_memory().peak_rss_bytes - report.base.rss_bytes;
  }
  return report;
}

}  // namespace batchwise

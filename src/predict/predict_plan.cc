// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/heap.h"
#include "batching/cost_model.h"
#include "binding/data_binding.h"
#include "measure/machine.h"
#include "predict/loader_options.h"
#include "predict/run_predict.h"

namespace batchwise {
namespace {

// Nothing above is faster on any machine at hand, and memory grows with it.
constexpr std::int64_t kLargestAutoMicroBatch = 512;

std::set<std::int64_t> piece_sizes(std::int64_t samples, std::int64_t batch_size,
                                   std::int64_t micro_batch) {
  std::set<std::int64_t> sizes;
  const auto add = [&](std::int64_t batch) {
    for (const BatchSlice& slice : cut_evenly(batch, micro_batch)) sizes.insert(slice.count);
  };
  add(std::min(batch_size, samples));
  if (samples % batch_size != 0) add(samples % batch_size);
  return sizes;
}

}  // namespace

LoaderOptions predict_loader_options(const DataBinding& binding, std::int64_t batch_size,
                                     std::int64_t micro_batch, bool labels, DType label_dtype) {
  LoaderOptions loader;
  loader.batch_size = batch_size;
  loader.labels = labels;
  loader.label_dtype = label_dtype;
  loader.feature_dtypes = binding.feature_dtypes;
  loader.cut = [micro_batch](std::int64_t count) {
    std::vector<std::int64_t> counts;
    for (const BatchSlice& slice : cut_evenly(count, micro_batch)) counts.push_back(slice.count);
    return counts;
  };
  return loader;
}

PredictPlanner::PredictPlanner(const EngineModel& model, const DataSource& data,
                               const PredictSizes& sizes, const Resources& resources)
    : model_(model),
      data_(data),
      sizes_(sizes),
      threads_(thread_count(resources)),
      room_(memory_room(resources)) {
  const std::int64_t samples = std::max<std::int64_t>(data.num_samples(), 1);
  batch_ = std::min(sizes.batch_size, samples);
  most_ = batch_ > 0 ? batch_ : samples;
  if (!sizes.control) return;
  sizes_.control = false;
  const MemoryParts alone = plan(1).parts;
  control_.activation_bytes = alone.activation_bytes;
  control_.scratch_bytes = alone.scratch_bytes;
  control_.io_bytes = alone.io_bytes;
  control_.code_bytes = alone.code_bytes;
}

PredictPlan PredictPlanner::plan(std::int64_t micro_batch) const {
  Graph features_only = model_.source();
  DType label_dtype = DType::kUndefined;
  if (sizes_.labels) {
    label_dtype = features_only.type(features_only.inputs.back()).dtype;
    features_only.inputs.pop_back();
  }
  const std::int64_t batch_size = std::max(batch_, micro_batch);
  const LoaderOptions loader = predict_loader_options(bind_data(features_only, data_), batch_size,
                                                      micro_batch, sizes_.labels, label_dtype);
  const auto data_bytes =
      static_cast<std::int64_t>(BatchLoader::bytes(data_, loader) + data_.resident_bytes());
  const auto program = model_.plan(micro_batch, threads_);
  ProgramMemory memory = program->memory();
  for (std::int64_t size : piece_sizes(data_.num_samples(), batch_size, micro_batch)) {
    if (size == micro_batch) continue;
    const ProgramMemory& other = model_.plan(size, threads_)->memory();
    memory.table_bytes += other.table_bytes;
    if (other.arena_bytes > memory.arena_bytes) {
      memory.arena_bytes = other.arena_bytes;
      memory.scratch_at_peak_bytes = other.scratch_at_peak_bytes;
    }
  }
  PredictPlan plan{batch_size, micro_batch, threads_, {}, 0};
  plan.parts = inference_memory(memory, output_bytes(program->graph()), data_bytes);
  plan.parts.code_bytes += model_.graph_bytes();
  const bool runs_at_peak = plan.parts.io_bytes > 0;
  plan.lower_bound_bytes = plan.parts.total() + control_.total();
  if (runs_at_peak) plan.lower_bound_bytes += memory.lower_bound_bytes - memory.arena_bytes;
  plan.parts.activation_bytes += control_.activation_bytes;
  plan.parts.scratch_bytes += control_.scratch_bytes;
  plan.parts.io_bytes += control_.io_bytes;
  plan.parts.code_bytes += control_.code_bytes;
  return plan;
}

std::int64_t PredictPlanner::choose_micro_batch() const {
  const std::int64_t most =
      model_.mixes_samples().empty() ? std::min(kLargestAutoMicroBatch, most_) : 1;
  const MachineSpeed machine =
      estimate_machine(threads_, instruction_set() == "avx512", describe_machine().l2_bytes);
  return batchwise::choose_micro_batch(
      [&](std::int64_t size) { return estimate_run_us(*model_.plan(size, threads_), machine); },
      {batch_, most}, [this](std::int64_t size) { return fits(size); });
}

std::int64_t PredictPlanner::largest_micro_batch(std::int64_t most) const {
  if (!model_.mixes_samples().empty()) most = 1;
  return largest_that_fits(most, [this](std::int64_t micro) { return fits(micro); });
}

PredictPlan plan_micro_batch(const EngineModel& model, const DataSource& data,
                             std::int64_t batch_size, std::int64_t micro_batch, int threads,
                             bool labels) {
  Resources resources;
  resources.threads = threads;
  return PredictPlanner(model, data, {batch_size, micro_batch, labels, false}, resources)
      .plan(micro_batch);
}

namespace {

PredictPlan pick_plan(const EngineModel& model, const DataSource& data, const PredictSizes& sizes,
                      const Resources& resources) {
  require_independent_samples(model, std::min(sizes.batch_size, data.num_samples()));
  const PredictPlanner planner(model, data, sizes, resources);
  const std::int64_t most = planner.batch_size() > 0
                                ? planner.batch_size()
                                : std::max<std::int64_t>(data.num_samples(), 1);
  if (sizes.micro_batch == 0) {
    const std::int64_t chosen = planner.choose_micro_batch();
    if (chosen == 0) {
      refuse_size("predict", "micro-batch", 1, planner.plan(1).parts, planner.room(), 0);
    }
    return planner.plan(chosen);
  }
  const std::int64_t micro = std::min(sizes.micro_batch, most);
  require_independent_samples(model, micro);
  if (!planner.fits(micro)) {
    refuse_size("predict", "micro-batch", micro, planner.plan(micro).parts, planner.room(),
                planner.largest_micro_batch(micro));
  }
  return planner.plan(micro);
}

}  // namespace

PredictPlan choose_predict_plan(const EngineModel& model, const DataSource& data,
                                const PredictSizes& sizes, const Resources& resources) {
  PredictPlan plan = pick_plan(model, data, sizes, resources);
  // What the sizes that were not chosen took is no part of the plan.
  model.forget_plans();
  return_free_heap();
  return plan;
}

std::vector<OutputInfo> output_infos(const EngineModel& model) {
  const auto program = model.plan(1, 1);
  const Graph& graph = program->graph();
  std::vector<OutputInfo> infos;
  for (std::size_t o = 0; o < graph.outputs.size(); ++o) {
    const TensorType& type = graph.type(graph.outputs[o]);
    std::vector<std::int64_t> dims = type.shape.dims();
    if (!dims.empty()) dims.erase(dims.begin());
    infos.push_back(
        {model.source().value(model.source().outputs[o]).name, Shape(dims), type.dtype});
  }
  return infos;
}

std::vector<std::size_t> pick_outputs(const EngineModel& model, const std::string& name) {
  const Graph& graph = model.source();
  std::vector<std::size_t> picked;
  std::vector<std::string> names;
  for (std::size_t o = 0; o < graph.outputs.size(); ++o) {
    names.push_back(graph.value(graph.outputs[o]).name);
    if (name.empty() || names.back() == name) picked.push_back(o);
  }
  if (picked.empty()) {
    fail_input("--output", "{} is no output; there are {}", name, fmt::join(names, ", "));
  }
  return picked;
}

}  // namespace batchwise

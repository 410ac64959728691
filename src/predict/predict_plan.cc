// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "base/check.h"
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

bool uses_wide_vectors() { return instruction_set() == "avx512"; }

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

PredictPlan plan_micro_batch(const EngineModel& model, const DataSource& data,
                             std::int64_t batch_size, std::int64_t micro_batch, int threads,
                             bool labels) {
  Graph features_only = model.source();
  DType label_dtype = DType::kUndefined;
  if (labels) {
    label_dtype = features_only.type(features_only.inputs.back()).dtype;
    features_only.inputs.pop_back();
  }
  const LoaderOptions loader = predict_loader_options(
      bind_data(features_only, data), batch_size, micro_batch, labels, label_dtype);
  const auto data_bytes =
      static_cast<std::int64_t>(BatchLoader::bytes(data, loader) + data.resident_bytes());
  PredictPlan plan{batch_size, micro_batch, threads, {}, 0, 0};
  ProgramMemory memory = model.plan(micro_batch, threads)->memory();
  const std::int64_t io_bytes = output_bytes(model.plan(micro_batch, threads)->graph());
  for (std::int64_t size : piece_sizes(data.num_samples(), batch_size, micro_batch)) {
    if (size == micro_batch) continue;
    const ProgramMemory& other = model.plan(size, threads)->memory();
    memory.table_bytes += other.table_bytes;
    if (other.arena_bytes > memory.arena_bytes) {
      memory.arena_bytes = other.arena_bytes;
      memory.scratch_at_peak_bytes = other.scratch_at_peak_bytes;
    }
  }
  plan.parts = inference_memory(memory, io_bytes, data_bytes);
  plan.arena_bytes = memory.arena_bytes;
  plan.lower_bound_bytes = plan.parts.total();
  if (plan.parts.activation_bytes + plan.parts.scratch_bytes > 0) {
    plan.lower_bound_bytes += memory.lower_bound_bytes - memory.arena_bytes;
  }
  return plan;
}

PredictPlan choose_predict_plan(const EngineModel& model, const DataSource& data,
                                const PredictSizes& sizes, const Resources& resources) {
  const int threads = thread_count(resources);
  const std::int64_t samples = std::max<std::int64_t>(data.num_samples(), 1);
  const MemoryRoom room = memory_room(resources);
  std::int64_t batch = std::min(sizes.batch_size, samples);
  if (batch > 1) require_independent_samples(model, batch);
  MemoryParts control;
  if (sizes.control) {
    const PredictPlan alone = plan_micro_batch(model, data, 1, 1, threads, sizes.labels);
    control.activation_bytes = alone.parts.activation_bytes;
    control.scratch_bytes = alone.parts.scratch_bytes;
    control.io_bytes = alone.parts.io_bytes;
    control.code_bytes = alone.parts.code_bytes;
  }
  const auto plan_of = [&](std::int64_t micro) {
    const std::int64_t whole = std::max(batch > 0 ? batch : micro, micro);
    PredictPlan plan = plan_micro_batch(model, data, whole, micro, threads, sizes.labels);
    plan.parts.activation_bytes += control.activation_bytes;
    plan.parts.scratch_bytes += control.scratch_bytes;
    plan.parts.io_bytes += control.io_bytes;
    plan.parts.code_bytes += control.code_bytes;
    plan.lower_bound_bytes += control.total();
    return plan;
  };
  const auto fits = [&](std::int64_t micro) { return room.fits(plan_of(micro).parts.total()); };
  const std::int64_t most = batch > 0 ? batch : samples;
  if (sizes.micro_batch > 0) {
    const std::int64_t micro = std::min(sizes.micro_batch, most);
    if (micro > 1) require_independent_samples(model, micro);
    if (!fits(micro)) {
      refuse_size("predict", "micro-batch", micro, plan_of(micro).parts, room,
                  largest_that_fits(micro - 1, fits));
    }
    return plan_of(micro);
  }
  const std::int64_t most_auto =
      model.mixes_samples().empty() ? std::min(kLargestAutoMicroBatch, most) : 1;
  std::int64_t size = 0;
  const std::int64_t chosen = choose_micro_batch(
      [&](std::int64_t micro) {
        size = micro;
        return model.plan(micro, threads);
      },
      estimate_machine(threads, uses_wide_vectors(), describe_machine().l2_bytes), most_auto,
      [&](const CompiledProgram&) { return fits(size); });
  if (chosen == 0) refuse_size("predict", "micro-batch", 1, plan_of(1).parts, room, 0);
  return plan_of(chosen);
}

std::vector<OutputInfo> output_infos(const EngineModel& model) {
  const auto program = model.plan(1, 1);
  const Graph& graph = program->graph();
  std::vector<OutputInfo> infos;
  for (std::size_t o = 0; o < graph.outputs.size(); ++o) {
    const TensorType& type = graph.type(graph.outputs[o]);
    std::vector<std::int64_t> dims = type.shape.dims();
    if (!dims.empty()) dims.erase(dims.begin());
    infos.push_back({model.source().value(model.source().outputs[o]).name, Shape(dims), type.dtype});
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

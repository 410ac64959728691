// SPDX-License-Identifier: Apache-2.0
#include "engine/model.h"

#include <algorithm>

#include "engine/evaluator.h"
#include "ops/op.h"

namespace batchwise {
namespace {

// Programs kept for one model. Each is small: constants are shared, arenas belong to workspaces.
constexpr std::size_t kCachedPrograms = 64;

}  // namespace

std::vector<PassRecord> run_engine_passes(Graph& graph, bool keep_weights, int threads,
                                          BackendChoice choice,
                                          const std::set<std::string>& disabled) {
  const Capabilities capabilities{[=](const Graph& in, const Node& node, const Epilogue& epilogue) {
    const KernelRequest request(in, node, threads);
    const KernelDef& kernel = *choose_kernel(request, choice).kernel;
    return kernel.takes_epilogue != nullptr && kernel.takes_epilogue(request, epilogue);
  }};
  return run_passes(graph, {engine_evaluator(), capabilities}, keep_weights, disabled);
}

EngineModel::EngineModel(Graph source, ModelOptions options)
    : source_(std::move(source)), options_(std::move(options)) {
  inference_ = source_;
  passes_ = run_engine_passes(inference_, false, 1, options_.backends, options_.disabled_passes);
  graph_bytes_ = heap_bytes(source_) + heap_bytes(inference_);
  Graph bound = bind_batch(inference_, 2, engine_evaluator());
  mixes_samples_ = carry_batch(bound);
  for (ValueId id : bound.outputs) {
    if (mixes_samples_.empty() && !bound.inputs.empty() && bound.value(id).batch.axis < 0) {
      mixes_samples_ = "output " + bound.value(id).name + " has no batch axis";
    }
  }
}

std::shared_ptr<const CompiledProgram> EngineModel::program(std::int64_t micro_batch,
                                                            int threads) const {
  return find_or_compile(micro_batch, threads, false);
}

std::shared_ptr<const CompiledProgram> EngineModel::plan(std::int64_t micro_batch,
                                                         int threads) const {
  return find_or_compile(micro_batch, threads, true);
}

std::shared_ptr<const CompiledProgram> EngineModel::find_or_compile(std::int64_t micro_batch,
                                                                    int threads,
                                                                    bool plan_only) const {
  const std::lock_guard lock(mutex_);
  const auto it = std::find_if(cache_.begin(), cache_.end(), [&](const CacheRow& row) {
    return row.micro_batch == micro_batch && row.threads == threads && row.plan_only == plan_only;
  });
  if (it != cache_.end()) {
    cache_.splice(cache_.begin(), cache_, it);
    return it->program;
  }
  auto program = std::make_shared<const CompiledProgram>(
      bind_batch(inference_, micro_batch, engine_evaluator()),
      ProgramOptions{threads, options_.backends, plan_only}, constants_);
  cache_.push_front({micro_batch, threads, plan_only, program});
  if (cache_.size() > kCachedPrograms) cache_.pop_back();
  return program;
}

void EngineModel::forget_plans() const {
  const std::lock_guard lock(mutex_);
  cache_.remove_if([](const CacheRow& row) { return row.plan_only; });
}

}  // namespace batchwise

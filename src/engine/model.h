// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <list>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "engine/program.h"
#include "passes/pass.h"

namespace batchwise {

// Passes as the engine runs them: constants by the reference kernels, epilogues as the kernel
// tables take them.
std::vector<PassRecord> run_engine_passes(Graph& graph, bool keep_weights, int threads,
                                          BackendChoice choice,
                                          const std::set<std::string>& disabled);

struct ModelOptions {
  BackendChoice backends = BackendChoice::kFast;
  std::set<std::string> disabled_passes;
};

// A model ready to be prepared for any micro-batch: the graph as it was read, the graph optimized
// for inference, and the programs and packed constants that its users share. Thread-safe.
class EngineModel {
 public:
  // `source` is free of its batch. Throws Error where an op is not supported or shapes contradict.
  EngineModel(Graph source, ModelOptions options);

  const Graph& source() const { return source_; }
  const Graph& inference() const { return inference_; }
  const std::vector<PassRecord>& passes() const { return passes_; }
  // Why a batch above 1 would mix samples; empty where it would not.
  const std::string& mixes_samples() const { return mixes_samples_; }

  // The program of a micro-batch, from the cache or compiled.
  std::shared_ptr<const CompiledProgram> program(std::int64_t micro_batch, int threads) const;
  // The same, sized only: for explain and for choosing the micro-batch.
  std::shared_ptr<const CompiledProgram> plan(std::int64_t micro_batch, int threads) const;
  // What the graphs take, beside what each program holds.
  std::int64_t graph_bytes() const { return graph_bytes_; }
  // Drops what plan() has kept, once a size is chosen: of a deep graph each takes about a MB.
  void forget_plans() const;
  const ModelOptions& options() const { return options_; }

 private:
  struct CacheRow {
    std::int64_t micro_batch;
    int threads;
    bool plan_only;
    std::shared_ptr<const CompiledProgram> program;
  };
  std::shared_ptr<const CompiledProgram> find_or_compile(std::int64_t micro_batch, int threads,
                                                         bool plan_only) const;

  Graph source_;
  Graph inference_;
  std::int64_t graph_bytes_ = 0;
  ModelOptions options_;
  std::vector<PassRecord> passes_;
  std::string mixes_samples_;
  std::shared_ptr<ConstantStore> constants_ = std::make_shared<ConstantStore>();
  mutable std::mutex mutex_;
  mutable std::list<CacheRow> cache_;  // guarded by mutex_; most recently used first
};

}  // namespace batchwise

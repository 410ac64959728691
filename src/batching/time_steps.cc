// SPDX-License-Identifier: Apache-2.0
#include "batching/time_steps.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "base/mapped_buffer.h"
#include "engine/backends.h"
#include "measure/sampling.h"
#include "measure/statistics.h"

namespace batchwise {
namespace {

constexpr int kFewestRuns = 5, kMostRuns = 200;
constexpr double kSeconds = 1;

// Memory, all zeros, for what a program reads and writes.
class ZeroBuffers {
 public:
  void* add(std::int64_t bytes) {
    buffers_.emplace_back(std::max<std::int64_t>(bytes, 1));
    return buffers_.back().data();
  }
  void* add(const TensorType& type) {
    return add(type.shape.elements() * static_cast<std::int64_t>(dtype_bytes(type.dtype)));
  }

 private:
  std::vector<MappedBuffer> buffers_;
};

}  // namespace

void time_steps(const std::shared_ptr<const CompiledProgram>& program,
                const std::shared_ptr<ThreadPool>& pool, std::span<StepExplanation> steps) {
  BW_CHECK(steps.size() == program->steps().size(), "{} rows", steps.size());
  ZeroBuffers buffers;
  std::vector<const void*> inputs;
  std::vector<void*> outputs, states;
  for (ValueId id : program->graph().inputs)
    inputs.push_back(buffers.add(program->graph().type(id)));
  for (ValueId id : program->graph().outputs) {
    outputs.push_back(buffers.add(program->graph().type(id)));
  }
  for (const StateUse& state : program->states()) states.push_back(buffers.add(state.bytes));
  Workspace workspace(program, std::make_shared<MappedBuffer>(program->memory().arena_bytes), pool,
                      states);
  std::vector<double> step_us(steps.size());
  std::vector<std::vector<double>> samples(steps.size());
  for (int warm_up = 0; warm_up < 2; ++warm_up) workspace.run(inputs, outputs);
  workspace.time_steps(step_us);
  const Stopwatch watch;
  for (int run = 0; run < kFewestRuns || (run < kMostRuns && watch.seconds() < kSeconds); ++run) {
    workspace.run(inputs, outputs);
    for (std::size_t i = 0; i < step_us.size(); ++i) samples[i].push_back(step_us[i]);
  }
  const double peak = measure_peak_flops_per_us(*pool);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[i].us = median_interval(samples[i]).median;
    steps[i].share_of_peak = steps[i].flops / std::max(*steps[i].us, 1e-3) / peak;
  }
}

}  // namespace batchwise

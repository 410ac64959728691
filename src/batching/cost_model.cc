// SPDX-License-Identifier: Apache-2.0
#include "batching/cost_model.h"

#include <algorithm>

#include "ops/op.h"

namespace batchwise {
namespace {

double bytes_of(const Graph& graph, ValueId id) {
  const TensorType& type = graph.type(id);
  return static_cast<double>(type.shape.elements()) * static_cast<double>(dtype_bytes(type.dtype));
}

// The share of peak that products of few rows reach: a row reads every weight for two flops.
double step_us(const CompiledProgram& program, const Step& step, const MachineSpeed& machine) {
  const Graph& graph = program.graph();
  const Node& node = graph.node(step.node);
  double bytes = 0;
  for (ValueId id : node.inputs) {
    if (id != kNoValue) bytes += bytes_of(graph, id);
  }
  for (ValueId id : node.outputs) {
    if (id != kNoValue) bytes += bytes_of(graph, id);
  }
  const double live = static_cast<double>(program.memory().arena_bytes);
  const double speed =
      live <= machine.cache_bytes ? machine.fast_bytes_per_us : machine.slow_bytes_per_us;
  const double arithmetic = node_flops(graph, node) / (0.85 * machine.flops_per_us);
  return machine.step_us + std::max(arithmetic, bytes / speed);
}

}  // namespace

MachineSpeed estimate_machine(int threads, bool wide_vectors, std::int64_t l2_bytes) {
  const double count = threads;
  MachineSpeed speed;
  speed.flops_per_us = count * (wide_vectors ? 160e3 : 90e3);
  speed.cache_bytes = count * static_cast<double>(l2_bytes > 0 ? l2_bytes : 1 << 20);
  speed.fast_bytes_per_us = count * 60e3;
  speed.slow_bytes_per_us = 25e3;
  speed.step_us = threads > 1 ? 1.5 : 0.3;
  return speed;
}

double estimate_run_us(const CompiledProgram& program, const MachineSpeed& machine) {
  double total = 0;
  for (const Step& step : program.steps()) total += step_us(program, step, machine);
  return total;
}

std::int64_t choose_micro_batch(const PlanOf& plan, const MachineSpeed& machine, std::int64_t most,
                                const std::function<bool(const CompiledProgram&)>& fits) {
  struct Candidate {
    std::int64_t size;
    double us_per_sample;
  };
  std::vector<Candidate> candidates;
  double best = 0;
  for (std::int64_t size = 1;; size = std::min(size * 2, most)) {
    const auto program = plan(size);
    if (!fits(*program)) break;
    const double us = estimate_run_us(*program, machine) / static_cast<double>(size);
    candidates.push_back({size, us});
    best = candidates.size() == 1 ? us : std::min(best, us);
    if (size == most) break;
  }
  for (const Candidate& candidate : candidates) {
    if (candidate.us_per_sample <= 1.02 * best) return candidate.size;
  }
  return 0;
}

std::int64_t largest_that_fits(std::int64_t most, const std::function<bool(std::int64_t)>& fits) {
  if (most < 1 || !fits(1)) return 0;
  std::int64_t low = 1, high = 1;
  while (high < most && fits(std::min(high * 2, most))) low = high = std::min(high * 2, most);
  high = std::min(low * 2, most + 1);
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace batchwise

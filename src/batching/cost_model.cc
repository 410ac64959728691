// SPDX-License-Identifier: Apache-2.0
#include "batching/cost_model.h"

#include <algorithm>
#include <limits>

#include "batching/cut_batch.h"
#include "ops/op.h"

namespace batchwise {
namespace {

double bytes_of(const Graph& graph, ValueId id) {
  const TensorType& type = graph.type(id);
  return static_cast<double>(type.shape.elements()) * static_cast<double>(dtype_bytes(type.dtype));
}

// Bytes that live across runs: weights, packed or not, and accumulators.
double lasting_bytes(const CompiledProgram& program) {
  double total = 0;
  for (const ConstantUse& use : program.constants()) total += static_cast<double>(use.bytes);
  for (const StateUse& use : program.states()) total += static_cast<double>(use.bytes);
  return total;
}

// Activations stay in the cache that holds the arena; weights and accumulators, which a run reads
// once, come from where all of them fit.
double step_us(const CompiledProgram& program, const Step& step, const MachineSpeed& machine,
               double lasting) {
  const Graph& graph = program.graph();
  const Node& node = graph.node(step.node);
  double passing_bytes = 0, lasting_used = 0;
  const auto add = [&](ValueId id) {
    if (id == kNoValue) return;
    const bool lasts =
        graph.value(id).kind == ValueKind::kConstant || graph.value(id).kind == ValueKind::kState;
    (lasts ? lasting_used : passing_bytes) += bytes_of(graph, id);
  };
  for (ValueId id : node.inputs) add(id);
  for (ValueId id : node.outputs) {
    // A sum that continues writes what it read.
    const bool continues = op_row(node.op).accumulates && node.inputs.back() != kNoValue &&
                           graph.value(node.inputs.back()).kind == ValueKind::kState;
    if (continues && id != kNoValue) {
      lasting_used += bytes_of(graph, id);
    } else {
      add(id);
    }
  }
  const double live = static_cast<double>(program.memory().arena_bytes);
  const double arithmetic = node_flops(graph, node) / (0.85 * machine.flops_per_us);
  return machine.step_us + std::max(arithmetic, passing_bytes / machine.bytes_per_us(live)) +
         lasting_used / machine.bytes_per_us(lasting);
}

}  // namespace

MachineSpeed estimate_machine(int threads, bool wide_vectors, std::int64_t l2_bytes) {
  const double count = threads;
  MachineSpeed speed;
  speed.flops_per_us = count * (wide_vectors ? 160e3 : 90e3);
  // The last level is shared with others on most machines: a modest part of it counts.
  speed.l2_bytes = count * static_cast<double>(l2_bytes > 0 ? l2_bytes : 1 << 20);
  speed.l3_bytes = 16e6;
  speed.l2_bytes_per_us = count * 60e3;
  speed.l3_bytes_per_us = count * 30e3;
  speed.memory_bytes_per_us = 25e3;
  speed.step_us = threads > 1 ? 1.5 : 0.3;
  return speed;
}

double estimate_run_us(const CompiledProgram& program, const MachineSpeed& machine) {
  double total = 0;
  const double lasting = lasting_bytes(program);
  for (const Step& step : program.steps()) total += step_us(program, step, machine, lasting);
  return total;
}

std::int64_t choose_size(std::span<const MicroBatchCost> costs) {
  double least = std::numeric_limits<double>::infinity();
  for (const MicroBatchCost& cost : costs) least = std::min(least, cost.us_per_sample);
  std::int64_t chosen = 0;
  for (const MicroBatchCost& cost : costs) {
    const bool is_near = cost.us_per_sample <= 1.02 * least;
    if (is_near && (chosen == 0 || cost.size < chosen)) chosen = cost.size;
  }
  return chosen;
}

std::int64_t choose_micro_batch(const std::function<double(std::int64_t)>& run_us,
                                const InferenceSizes& sizes,
                                const std::function<bool(std::int64_t)>& fits) {
  std::vector<MicroBatchCost> costs;
  const auto add = [&](std::int64_t wanted) {
    const std::int64_t batch = sizes.batch > 0 ? sizes.batch : wanted;
    const std::int64_t slices = count_even_slices(batch, wanted);
    // All slices are of this size or one less.
    const std::int64_t size = (batch + slices - 1) / slices;
    if (!fits(size)) return false;
    const std::int64_t smaller = slices * size - batch;
    double us = static_cast<double>(slices - smaller) * run_us(size);
    if (smaller > 0) us += static_cast<double>(smaller) * run_us(size - 1);
    costs.push_back({size, us / static_cast<double>(batch)});
    return true;
  };
  for (std::int64_t wanted = 1; add(wanted); wanted = std::min(wanted * 2, sizes.most)) {
    if (wanted == sizes.most) return choose_size(costs);
  }
  // The memory ends between two sizes: most is gained by all of it.
  const std::int64_t largest = largest_that_fits(sizes.most, fits);
  if (largest > 0) add(largest);
  return choose_size(costs);
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

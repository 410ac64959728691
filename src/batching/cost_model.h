// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <span>

#include "engine/program.h"

namespace batchwise {

// What a static estimate of a program's time knows of the machine. Rough: it chooses between sizes,
// it does not promise times.
struct MachineSpeed {
  double flops_per_us = 0;  // all threads, fused multiply-adds counting two
  // Memory by its nearest level that holds what is used together: L2 of all threads, L3, beyond.
  double l2_bytes = 0, l3_bytes = 0;
  double l2_bytes_per_us = 0, l3_bytes_per_us = 0, memory_bytes_per_us = 0;
  double step_us = 0;  // to start a step

  double bytes_per_us(double held_bytes) const {
    if (held_bytes <= l2_bytes) return l2_bytes_per_us;
    return held_bytes <= l3_bytes ? l3_bytes_per_us : memory_bytes_per_us;
  }
};
// Of the widest instruction set in use, for `threads` threads.
MachineSpeed estimate_machine(int threads, bool wide_vectors, std::int64_t l2_bytes);

// The estimated time of one run, microseconds: each step takes the longer of its arithmetic and its
// memory traffic.
double estimate_run_us(const CompiledProgram& program, const MachineSpeed& machine);

// A micro-batch that may be taken, and the time of a batch that is cut by it.
struct MicroBatchCost {
  std::int64_t size = 1;
  double us_per_sample = 0;
};
// The smallest size whose time is within 2 % of the least; 0 of none.
std::int64_t choose_size(std::span<const MicroBatchCost> costs);

// What batches are cut for inference, and how far their slices may go.
struct InferenceSizes {
  std::int64_t batch = 0;  // samples in a call; 0: as many as the micro-batch
  std::int64_t most = 1;   // of a micro-batch
};
// The micro-batch by which cut_evenly() cuts a batch at near the least cost, the smallest such: a
// pure function of the time of a run of so many samples, in microseconds. A size is tried only
// where `fits` takes it, which must hold for all sizes below; 0 where not even 1 fits.
std::int64_t choose_micro_batch(const std::function<double(std::int64_t)>& run_us,
                                const InferenceSizes& sizes,
                                const std::function<bool(std::int64_t)>& fits);

// The largest size in [1, most] that `fits`, which must hold for all sizes below one that fits; 0
// where none does.
std::int64_t largest_that_fits(std::int64_t most, const std::function<bool(std::int64_t)>& fits);

}  // namespace batchwise

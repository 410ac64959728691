// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>

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

// The smallest micro-batch up to `most` whose estimated time a sample is within 2 % of the best: a
// pure function of the plans that `plan` gives and the machine. Sizes whose memory `fits` refuses
// are passed over; 0 where not even 1 fits.
using PlanOf = std::function<std::shared_ptr<const CompiledProgram>(std::int64_t)>;
std::int64_t choose_micro_batch(const PlanOf& plan, const MachineSpeed& machine, std::int64_t most,
                                const std::function<bool(const CompiledProgram&)>& fits);

// The largest size in [1, most] that `fits`, which must hold for all sizes below one that fits; 0
// where none does.
std::int64_t largest_that_fits(std::int64_t most, const std::function<bool(std::int64_t)>& fits);

}  // namespace batchwise

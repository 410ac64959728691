// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <span>

#include "batchwise/explain.h"
#include "engine/program.h"

namespace batchwise {

// Runs `program` on zeros, in memory of its own, and writes the median time of each of its steps,
// in microseconds, and its share of the machine's peak to `steps`, which are explain_steps() of it.
void time_steps(const std::shared_ptr<const CompiledProgram>& program,
                const std::shared_ptr<ThreadPool>& pool, std::span<StepExplanation> steps);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "batchwise/explain.h"
#include "engine/model.h"

namespace batchwise {

// Which kernel each step of a program got, and why, with its flops and the bytes that it reads and
// writes.
std::vector<StepExplanation> explain_steps(const CompiledProgram& program);
std::vector<PassExplanation> explain_passes(const std::vector<PassRecord>& records);
// Of all steps of `program`, for `samples` samples where it is prepared for `micro_batch`.
double batch_flops(const CompiledProgram& program, std::int64_t micro_batch, std::int64_t samples);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "engine/program.h"

namespace batchwise {

// Fills `program`, which holds its graph and options: layouts, kernels, the plan, and where each
// argument lies. Makes no constant. Throws Error where no kernel takes a node.
void compile_program(CompiledProgram& program);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string>
#include <vector>

#include "engine/program.h"
#include "plan/plan.h"

namespace batchwise::properties {

// The memory of a program as its steps use it: found again from the arguments that its kernels get,
// with nothing of what the compiler knew of lifetimes.
struct ProgramLayout {
  std::vector<BufferRow> rows;
  Plan plan;
  std::vector<std::string> faults;  // arguments that cannot be

  std::string print() const { return plan.print(rows); }
};
// `places` are the program's own, or what a test made of them.
ProgramLayout layout_of(const CompiledProgram& program, std::span<const Place> places);

// What is wrong with the memory of a program, a line a fault; empty: nothing.
std::string plan_faults(const CompiledProgram& program);
std::string plan_faults(const CompiledProgram& program, std::span<const Place> places);

}  // namespace batchwise::properties

// SPDX-License-Identifier: Apache-2.0
#include "base/heap.h"
#include "engine/program.h"

namespace batchwise {

std::int64_t heap_bytes(const CompiledProgram& program) {
  constexpr std::int64_t kKernelBytes = 512;  // a guess: a prepared kernel's type is not known here
  std::int64_t bytes = heap_bytes(program.graph()) + heap_bytes(program.steps()) +
                       heap_bytes(program.places()) + heap_bytes(program.constants()) +
                       heap_bytes(program.states());
  for (const Step& step : program.steps()) bytes += kKernelBytes + heap_bytes(step.choice.reason);
  // The store has the key too.
  for (const ConstantUse& use : program.constants()) bytes += 2 * heap_bytes(use.key);
  for (const StateUse& use : program.states()) bytes += 2 * heap_bytes(use.key);
  return bytes;
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "engine/backends.h"

#include <array>

#include "backend/cpu/backend.h"
#include "backend/cpu/fma_peak.h"
#include "backend/cpu/isa.h"
#include "backend/reference/interpreter.h"
#include "backend/reference/reference.h"
#include "base/check.h"
#include "batchwise/process.h"

namespace batchwise {

std::span<const Backend* const> backends(BackendChoice choice) {
  static const std::array<const Backend*, 2> all{&cpu::cpu_backend(),
                                                 &reference::reference_backend()};
  const std::span<const Backend* const> both(all);
  return choice == BackendChoice::kFast ? both : both.subspan(1);
}

KernelChoice choose_kernel(const KernelRequest& request, BackendChoice choice) {
  std::string refusals;
  for (const Backend* backend : backends(choice)) {
    for (const KernelDef* kernel : backend->kernels) {
      if (kernel->op != request.node().op) continue;
      const auto refusal = kernel->refuse ? kernel->refuse(request) : std::nullopt;
      if (!refusal) {
        return {backend, kernel, refusals.empty() ? "first kernel that takes it" : refusals};
      }
      refusals += fmt::format("{}{}: {}", refusals.empty() ? "" : "; ", kernel->name, *refusal);
    }
  }
  fail_input(request.where(), "no kernel takes this node{}{}", refusals.empty() ? "" : ": ",
             refusals);
}

bool can_evaluate(const Graph& graph, NodeId id) { return reference::can_evaluate(graph, id); }

std::vector<Tensor> evaluate_node(const Graph& graph, NodeId id) {
  return reference::evaluate_node(graph, id);
}

void cap_instruction_set(const std::string& name) {
  if (name == "auto") return cpu::cap_isa(cpu::detect_isa());
  for (const cpu::Isa isa : {cpu::Isa::kSse4, cpu::Isa::kAvx2, cpu::Isa::kAvx512}) {
    if (name != cpu::isa_name(isa)) continue;
    if (isa > cpu::detect_isa()) {
      fail_input("--isa", "{} is wanted, this machine has {}", name,
                 cpu::isa_name(cpu::detect_isa()));
    }
    return cpu::cap_isa(isa);
  }
  fail_input("--isa", "{} is unknown; there are auto, avx512, avx2 and sse4", name);
}

std::string instruction_set() { return std::string(cpu::isa_name(cpu::current_isa())); }

double measure_peak_flops_per_us(ThreadPool& pool) { return cpu::measure_fma_peak_per_us(pool); }

}  // namespace batchwise

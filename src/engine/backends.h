// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string>
#include <vector>

#include "backend/kernel.h"

namespace batchwise {

// Which backends may be used, best first. The one place that names concrete ones.
enum class BackendChoice : std::uint8_t { kFast, kReferenceOnly };
std::span<const Backend* const> backends(BackendChoice choice);

struct KernelChoice {
  const Backend* backend = nullptr;
  const KernelDef* kernel = nullptr;
  std::string reason;  // why this one: what refused before it
};

// The first kernel that takes the node. Throws Error naming op and node where none does.
KernelChoice choose_kernel(const KernelRequest& request, BackendChoice choice);

// Constants, by the reference kernels. Can the node's outputs be computed now?
bool can_evaluate(const Graph& graph, NodeId id);
// Its outputs. Requires: can_evaluate.
std::vector<Tensor> evaluate_node(const Graph& graph, NodeId id);

// What the pool's threads reach at most, floating-point operations a microsecond; measured.
double measure_peak_flops_per_us(ThreadPool& pool);

}  // namespace batchwise

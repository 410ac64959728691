// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string>
#include <vector>

#include "backend/kernel.h"

namespace batchwise::op_cases {

// How a kernel is run: what the engine may choose.
struct RunVariant {
  int threads = 1;
  int shared_input = -1;  // output 0 takes over this input's memory
  Layout layout = Layout::kRowMajor;
  std::string name() const;
};

// Runs a kernel on one node of a graph as the engine would: inputs in its layout, weights packed,
// states updated in place, every buffer between sentinels and every output full of NaNs before.
// `inputs` are dense and row-major, null where absent; so are the results.
// Throws Error where a sentinel or an input was overwritten.
std::vector<Tensor> run_kernel(const Backend& backend, const KernelDef& kernel, const Graph& graph,
                               const Node& node, std::span<const Tensor* const> inputs,
                               const RunState& state, const RunVariant& variant);

// The variants in which the engine may run this kernel on this node.
std::vector<RunVariant> variants_of(const KernelDef& kernel, const Graph& graph, const Node& node);

}  // namespace batchwise::op_cases

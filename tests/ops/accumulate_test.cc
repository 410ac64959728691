// SPDX-License-Identifier: Apache-2.0
// A sum over samples continues where it was left: cut anywhere, it has the bits of the whole.
#include <gtest/gtest.h>

#include "backend/cpu/backend.h"
#include "backend/reference/reference.h"
#include "kernel_run.h"
#include "op_case.h"

namespace batchwise::op_cases {
namespace {

// Samples [begin, end) of a case: its activations cut along axis 0.
CaseGraph cut(const CaseGraph& whole, std::int64_t begin, std::int64_t end) {
  CaseGraph part = whole;
  for (std::size_t i = 0; i < part.inputs.size(); ++i) {
    const Tensor& from = whole.inputs[i];
    Shape shape = from.shape();
    const std::int64_t sample_bytes = from.bytes() / shape[0];
    shape[0] = end - begin;
    part.inputs[i] = Tensor::copy_of(from.dtype(), shape, from.data() + begin * sample_bytes);
    part.graph.value(part.graph.inputs[i]).type.shape = shape;
  }
  infer_node(part.graph, part.node);
  return part;
}

Tensor sum_part(const Backend& backend, const KernelDef& kernel, const CaseGraph& part,
                const Tensor& accumulator, bool continues, int threads) {
  const Node& node = part.graph.node(part.node);
  std::vector<const Tensor*> inputs;
  for (const Tensor& tensor : part.inputs) inputs.push_back(&tensor);
  inputs.push_back(&accumulator);
  RunState state = part.state;
  state.accumulate = continues;
  return run_kernel(backend, kernel, part.graph, node, inputs, state, {.threads = threads})[0];
}

void check_cuts(const Backend& backend, const KernelDef& kernel, const CaseGraph& whole) {
  const Node& node = whole.graph.node(whole.node);
  const Tensor start = *whole.graph.value(node.inputs.back()).constant;
  const std::int64_t samples = whole.inputs[0].shape()[0];
  const Tensor expected = sum_part(backend, kernel, whole, start, true, 1);
  for (std::int64_t step = 1; step < samples; ++step) {
    Tensor sum = start;
    for (std::int64_t begin = 0; begin < samples; begin += step) {
      const CaseGraph part = cut(whole, begin, std::min(begin + step, samples));
      sum = sum_part(backend, kernel, part, sum, true, step % 2 == 0 ? 1 : 2);
    }
    EXPECT_EQ(std::memcmp(sum.data(), expected.data(), static_cast<std::size_t>(sum.bytes())), 0)
        << whole.name << ", kernel " << kernel.name << ", " << step << " samples at a time";
  }
}

// Calls f for each case of a sum over samples with an accumulator, once each.
template <typename F>
void each_sum(F f) {
  for (const OpCases& cases : all_cases()) {
    const OpDef& row = op_row(cases.op);
    if (!row.accumulates) continue;
    for (const OpCase& op_case : cases.cases) {
      if (!op_case.accumulate || static_cast<int>(op_case.inputs.size()) != row.max_inputs)
        continue;
      CaseGraph whole = build_case(cases.op, op_case, DType::kFloat32);
      if (!carry_batch(whole.graph).empty()) f(whole);
    }
  }
}

int check_backend(const Backend& backend) {
  int checked = 0;
  each_sum([&](const CaseGraph& whole) {
    const Node& node = whole.graph.node(whole.node);
    for (const KernelDef* kernel : backend.kernels) {
      const KernelRequest request(whole.graph, node, 2);
      if (kernel->op != node.op || (kernel->refuse && kernel->refuse(request))) continue;
      check_cuts(backend, *kernel, whole);
      ++checked;
    }
  });
  return checked;
}

TEST(Accumulate, ReferenceSumsDoNotDependOnTheCut) {
  EXPECT_GE(check_backend(reference::reference_backend()), 12);
}

TEST(Accumulate, FastSumsDoNotDependOnTheCut) { EXPECT_GE(check_backend(cpu::cpu_backend()), 1); }

}  // namespace
}  // namespace batchwise::op_cases

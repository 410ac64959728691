// SPDX-License-Identifier: Apache-2.0
// Every fast kernel against the reference, on the nodes of all op cases and of their gradients.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "backend/cpu/backend.h"
#include "backend/reference/reference.h"
#include "kernel_run.h"
#include "op_case.h"

namespace batchwise::op_cases {
namespace {

// The largest difference of a tensor, in parts of its largest element. Ops that are not named have
// the first row's.
struct Tolerance {
  std::string_view op;
  double relative;
};
// Sums to one number are wide, because terms may cancel.
constexpr Tolerance kTolerances[] = {
    {"", 1e-6},
    {"Gemm", 2e-6},
    {"MatMul", 2e-6},
    {"Conv", 3e-6},
    {"ConvGradInput", 3e-6},
    {"ConvGradWeight", 3e-6},
    {"Pow", 3e-6},
    {"MatMulGradWeight", 3e-6},
    {"LRN", 3e-6},
    {"LRNGrad", 5e-6},
    {"BatchNormalizationTraining", 3e-6},
    {"BatchNormalizationTrainingGrad", 1e-5},
    {"LayerNormalizationGrad", 5e-6},
    {"SumTo", 1e-5},
    {"ReduceSum", 1e-5},
    {"ReduceMean", 1e-5},
};

double tolerance_of(std::string_view op) {
  for (const Tolerance& row : kTolerances) {
    if (row.op == op) return row.relative;
  }
  return kTolerances[0].relative;
}

// max |a - b| / max |b|; infinity where one is NaN and the other is not, or bits of integers
// differ.
double difference(const Tensor& a, const Tensor& b) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape())) return kInfinity;
  if (a.dtype() != DType::kFloat32 && a.dtype() != DType::kFloat64) {
    return a.bytes() == 0 || std::memcmp(a.data(), b.data(), std::size_t(a.bytes())) == 0
               ? 0
               : kInfinity;
  }
  const std::vector<double> x = to_doubles(a), y = to_doubles(b);
  double largest = 1e-30, error = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i]) != std::isnan(y[i])) return kInfinity;
    if (std::isnan(x[i]) || x[i] == y[i]) continue;
    largest = std::max(largest, std::abs(y[i]));
    error = std::max(error, std::abs(x[i] - y[i]));
  }
  for (double value : y)
    largest = std::isfinite(value) ? std::max(largest, std::abs(value)) : largest;
  return error / largest;
}

struct Tally {
  std::set<std::string> kernels;  // run at least once
  std::set<std::string> ops;      // of the kernels that were run
  std::set<std::string> refused;  // ops that no fast kernel took in some case
  int runs = 0;
};

void check_kernel(const Backend& backend, const KernelDef& kernel, const CaseGraph& case_graph,
                  const Node& node, const std::vector<Tensor>& values, Tally& tally) {
  std::vector<const Tensor*> inputs;
  for (ValueId id : node.inputs) inputs.push_back(id == kNoValue ? nullptr : &values[index(id)]);
  for (const RunVariant& variant : variants_of(kernel, case_graph.graph, node)) {
    const std::string where = fmt::format("{}, node {}, kernel {} with {}", case_graph.name,
                                          node.op, kernel.name, variant.name());
    std::vector<Tensor> outputs;
    ASSERT_NO_THROW(outputs = run_kernel(backend, kernel, case_graph.graph, node, inputs,
                                         case_graph.state, variant))
        << where;
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      if (node.outputs[o] == kNoValue) continue;
      EXPECT_LE(difference(outputs[o], values[index(node.outputs[o])]), tolerance_of(node.op))
          << where << ", output " << o;
    }
    tally.kernels.insert(fmt::format("{} / {}", kernel.op, kernel.name));
    tally.ops.insert(node.op);
    ++tally.runs;
  }
}

void check_node(const Backend& backend, const CaseGraph& case_graph, const Node& node,
                const std::vector<Tensor>& values, Tally& tally) {
  bool taken = false;
  for (const KernelDef* kernel : backend.kernels) {
    if (kernel->op != node.op) continue;
    const KernelRequest request(case_graph.graph, node, 2);
    if (kernel->refuse != nullptr && kernel->refuse(request)) continue;
    taken = true;
    check_kernel(backend, *kernel, case_graph, node, values, tally);
  }
  if (!taken) tally.refused.insert(node.op);
}

// Weights that training holds as states are constants in inference.
CaseGraph with_constant_weights(CaseGraph case_graph) {
  for (Value& value : case_graph.graph.values) {
    if (value.kind == ValueKind::kState) value.kind = ValueKind::kConstant;
  }
  return case_graph;
}

void check_case(const Backend& backend, std::string_view op, const OpCase& op_case, DType floating,
                Tally& tally) {
  const CaseGraph forward = build_case(op, op_case, floating);
  CaseGraph full = forward;
  add_case_gradients(full, op_case.seeded_outputs);
  const std::vector<Tensor> values = full.run();
  for (const Node& node : full.graph.nodes) check_node(backend, full, node, values, tally);
  const OpDef& row = op_row(op);
  if (row.accumulates || !row.updates.empty()) return;
  const CaseGraph inference = with_constant_weights(forward);
  check_node(backend, inference, inference.graph.node(inference.node), inference.run(), tally);
}

TEST(FastKernels, AgreeWithTheReference) {
  Tally tally;
  for (const OpCases& cases : all_cases()) {
    for (const OpCase& op_case : cases.cases) {
      check_case(cpu::cpu_backend(), cases.op, op_case, DType::kFloat32, tally);
    }
  }
  for (const KernelDef* kernel : cpu::cpu_backend().kernels) {
    const std::string name = fmt::format("{} / {}", kernel->op, kernel->name);
    const bool has_own_test = kernel->op == "Reorder";
    EXPECT_TRUE(has_own_test || tally.kernels.count(name)) << name << " takes none of the cases";
  }
  std::erase_if(tally.refused, [&](const std::string& op) { return tally.ops.count(op) != 0; });
  fmt::print("{} runs of {} kernels; {} ops by the reference alone: {}\n", tally.runs,
             tally.kernels.size(), tally.refused.size(), fmt::join(tally.refused, " "));
}

TEST(FastKernels, ReordersMoveElementsOnly) {
  for (const KernelDef* kernel : cpu::cpu_backend().kernels) {
    if (kernel->op != "Reorder") continue;
    for (const std::string to : {"channels_last", "row_major"}) {
      const OpCase op_case{"to " + to, {floats({2, 19, 5, 3})}, {{"to", to}}};
      CaseGraph reorder = build_case("Reorder", op_case, DType::kFloat32);
      const Node node = reorder.graph.node(reorder.node);
      const ValueId moved = to == "row_major" ? node.inputs[0] : node.outputs[0];
      reorder.graph.value(moved).layout = Layout::kChannelsLast;
      const Tensor& x = reorder.inputs[0];
      const std::vector<const Tensor*> inputs{&x};
      const Tensor y = run_kernel(cpu::cpu_backend(), *kernel, reorder.graph, node, inputs,
                                  reorder.state, {.threads = 2})[0];
      EXPECT_EQ(difference(y, x), 0) << to;
    }
  }
}

// The reference as a backend, through the same sentinels: its kernels stay within their buffers,
// write all of their outputs, and may work in place where the rows say so.
TEST(ReferenceKernels, StayWithinTheirBuffers) {
  Tally tally;
  for (const OpCases& cases : all_cases()) {
    for (const OpCase& op_case : cases.cases) {
      check_case(reference::reference_backend(), cases.op, op_case, DType::kFloat64, tally);
    }
  }
  EXPECT_TRUE(tally.refused.empty()) << fmt::format("{}", fmt::join(tally.refused, " "));
}

// A kernel that writes one element too many must be found.
class Overrun : public Kernel {
 public:
  void run(const KernelCall& call) const override { call.output<float>(0)[6] = 1; }
};

TEST(FastKernels, AnOverrunIsFound) {
  const OpCase op_case{"planted", {floats({2, 3})}};
  const CaseGraph graph = build_case("Relu", op_case, DType::kFloat32);
  const KernelDef planted{.op = "Relu", .name = "planted", .prepare = [](const KernelRequest&) {
                            return std::unique_ptr<Kernel>(new Overrun);
                          }};
  const std::vector<const Tensor*> inputs{&graph.inputs[0]};
  EXPECT_THROW(run_kernel({"planted"}, planted, graph.graph, graph.graph.node(graph.node), inputs,
                          graph.state, {}),
               Error);
}

}  // namespace
}  // namespace batchwise::op_cases

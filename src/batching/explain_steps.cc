// SPDX-License-Identifier: Apache-2.0
#include "batching/explain_steps.h"

#include "ops/op.h"

namespace batchwise {
namespace {

std::int64_t bytes_of(const Graph& graph, const std::vector<ValueId>& ids) {
  std::int64_t total = 0;
  for (ValueId id : ids) {
    if (id == kNoValue) continue;
    const TensorType& type = graph.type(id);
    total += type.shape.elements() * static_cast<std::int64_t>(dtype_bytes(type.dtype));
  }
  return total;
}

}  // namespace

std::vector<StepExplanation> explain_steps(const CompiledProgram& program) {
  std::vector<StepExplanation> steps;
  const Graph& graph = program.graph();
  for (const Step& step : program.steps()) {
    const Node& node = graph.node(step.node);
    StepExplanation row;
    row.name = node.name;
    row.op = node.op;
    if (!node.epilogue.activation.empty()) row.op += "+" + node.epilogue.activation;
    row.kernel = step.choice.kernel->name;
    row.backend = step.choice.backend->name;
    row.reason = step.choice.reason.empty() ? "first kernel that takes it" : step.choice.reason;
    row.flops = node_flops(graph, node);
    row.bytes = bytes_of(graph, node.inputs) + bytes_of(graph, node.outputs);
    steps.push_back(std::move(row));
  }
  return steps;
}

std::vector<PassExplanation> explain_passes(const std::vector<PassRecord>& records) {
  std::vector<PassExplanation> passes;
  for (const PassRecord& record : records) {
    passes.push_back({record.name, record.changed, record.microseconds});
  }
  return passes;
}

double batch_flops(const CompiledProgram& program, std::int64_t micro_batch, std::int64_t samples) {
  double flops = 0;
  for (const Step& step : program.steps()) {
    flops += node_flops(program.graph(), program.graph().node(step.node));
  }
  return flops * static_cast<double>(samples) / static_cast<double>(micro_batch);
}

}  // namespace batchwise

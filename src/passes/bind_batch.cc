// SPDX-License-Identifier: Apache-2.0
#include "passes/bind_batch.h"

#include <algorithm>

#include "base/check.h"
#include "ops/op.h"
#include "ops/shape_values.h"

namespace batchwise {
namespace {

// Integers, and anything small: what shapes are made of. Large floating-point constants stay
// expressions until a program packs them.
bool is_worth_folding(const Graph& graph, const Node& node) {
  constexpr std::int64_t kSmallElements = 4096, kMostIntegers = std::int64_t{1} << 20;
  for (ValueId id : node.outputs) {
    if (id == kNoValue) continue;
    const TensorType& type = graph.type(id);
    const bool is_float = type.dtype == DType::kFloat32 || type.dtype == DType::kFloat64;
    if (type.shape.elements() > (is_float ? kSmallElements : kMostIntegers)) return false;
  }
  return true;
}

void make_constant(Graph& graph, ValueId id, const Tensor& tensor) {
  Value& value = graph.value(id);
  value.kind = ValueKind::kConstant;
  value.constant = tensor;
  value.type = {tensor.dtype(), tensor.shape()};
  value.producer = kNoNode;
  value.batch = {};
}

bool is_constant_of_shape_splat(const Graph& graph, const Node& node) {
  return node.op == "ConstantOfShape" && graph.value(node.inputs[0]).kind == ValueKind::kConstant;
}

// Takes nodes over one by one, inferring types and folding; the shared part of binding.
void infer_and_fold(Graph& graph, const Evaluator& evaluator) {
  std::vector<Node> old_nodes = std::move(graph.nodes);
  graph.nodes.clear();
  for (Node& old_node : old_nodes) {
    const auto id = NodeId(graph.nodes.size());
    graph.nodes.push_back(std::move(old_node));
    const Node& node = graph.nodes.back();
    for (ValueId output : node.outputs) {
      if (output == kNoValue) continue;
      graph.value(output).producer = id;
      graph.value(output).kind = ValueKind::kComputed;
    }
    infer_node(graph, id);
    const bool fold = is_worth_folding(graph, node) || is_constant_of_shape_splat(graph, node);
    if (!fold || !evaluator.can_evaluate(graph, id)) continue;
    const std::vector<Tensor> results = evaluator.evaluate(graph, id);
    const std::vector<ValueId> outputs = node.outputs;
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      if (outputs[o] != kNoValue) make_constant(graph, outputs[o], results[o]);
    }
    graph.nodes.pop_back();
  }
}

// Is every output a shape, or made of shapes? Whoever uses it is freed of it, or found out below.
bool makes_shapes(const Graph& graph, const Node& node) {
  return std::all_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
    return id == kNoValue || shape_values(graph, id).has_value();
  });
}

// Why a freed graph does not do what the graph it was made from does; empty where it does. The
// proof holds for all sizes if shapes follow at two of them.
std::string check_freed(const Graph& graph, const Graph& freed, const Evaluator& evaluator) {
  for (const std::int64_t batch : {2, 3}) {
    const Graph bound = bind_batch(freed, batch, evaluator);
    Graph original = graph;
    for (ValueId id : original.inputs) original.value(id).batch = {0, 1};
    try {
      original = bind_batch(original, batch, evaluator);
    } catch (const Error&) {
      continue;  // a 1 was burnt in
    }
    for (std::size_t i = 0; i < original.values.size(); ++i) {
      const Value &before = original.values[i], &after = bound.values[i];
      if (before.type.shape == after.type.shape) continue;
      return fmt::format("{} has shape {} for a batch of {}, which does not follow the batch: {}",
                         before.name, before.type.shape.to_string(), batch,
                         after.type.shape.to_string());
    }
  }
  return {};
}

// Declares that axis 0 of every input is the batch; why not, where it is no 1.
std::string mark_inputs(Graph& graph) {
  for (ValueId id : graph.inputs) {
    Value& input = graph.value(id);
    if (input.type.shape.rank() == 0 || input.type.shape[0] != 1) {
      return fmt::format("input {} has shape {}: axis 0 is not a batch of 1", input.name,
                         input.type.shape.to_string());
    }
    input.batch = {0, 1};
  }
  return {};
}

// Puts a constant that follows the batch in the place of one that had a 1 burnt in.
void free_constants(Graph& graph, NodeId node, std::span<const BatchAxis> batch) {
  const OpDef& row = op_row(graph.node(node).op);
  if (row.free_batch == nullptr) return;
  for (std::size_t i = 0; i < graph.node(node).inputs.size(); ++i) {
    const auto replacement =
        row.free_batch(NodeView(graph, graph.node(node)), batch, static_cast<int>(i));
    if (!replacement) continue;
    const std::string name = graph.value(graph.node(node).inputs[i]).name;
    graph.node(node).inputs[i] = graph.add_constant(name + ".freed", *replacement);
  }
}

// Says of the node's outputs where the batch is; why not, where the node mixes samples.
std::string carry_through(Graph& graph, NodeId node, std::span<const BatchAxis> batch) {
  const NodeView view(graph, graph.node(node));
  const OpDef& row = op_row(graph.node(node).op);
  if (row.carry == nullptr) return view.where() + " says nothing of samples";
  BatchCarry carried = row.carry(view, batch);
  if (!carried.mixes.empty() && makes_shapes(graph, graph.node(node))) {
    carried = {std::vector<BatchAxis>(graph.node(node).outputs.size()), {}};
  }
  if (!carried.mixes.empty()) return view.where() + " mixes samples: " + carried.mixes;
  for (std::size_t o = 0; o < graph.node(node).outputs.size(); ++o) {
    const ValueId id = graph.node(node).outputs[o];
    if (id != kNoValue) graph.value(id).batch = carried.outputs[o];
  }
  return {};
}

std::string try_free_batch(Graph& graph) {
  std::string fault = mark_inputs(graph);
  for (std::size_t n = 0; n < graph.nodes.size() && fault.empty(); ++n) {
    std::vector<BatchAxis> batch;
    for (ValueId id : graph.nodes[n].inputs) {
      batch.push_back(id == kNoValue ? BatchAxis{} : graph.value(id).batch);
    }
    if (std::all_of(batch.begin(), batch.end(), [](BatchAxis b) { return b.axis < 0; })) continue;
    free_constants(graph, NodeId(n), batch);
    fault = carry_through(graph, NodeId(n), batch);
  }
  return fault;
}

}  // namespace

Graph bind_batch(const Graph& graph, std::int64_t batch, const Evaluator& evaluator) {
  Graph bound = graph;
  for (ValueId id : bound.inputs) {
    Value& input = bound.value(id);
    if (input.batch.axis >= 0) input.type.shape[input.batch.axis] = batch * input.batch.block;
  }
  infer_and_fold(bound, evaluator);
  return bound;
}

std::string free_batch(Graph& graph, const Evaluator& evaluator) {
  Graph freed = graph;
  std::string failure = try_free_batch(freed);
  if (!failure.empty()) return failure;
  try {
    failure = check_freed(graph, freed, evaluator);
  } catch (const InternalError&) {
    throw;
  } catch (const Error& error) {
    failure = error.what();
  }
  if (failure.empty()) {
    remove_dead(freed, node_has_effect);
    failure = carry_batch(freed);
  }
  if (failure.empty()) graph = std::move(freed);
  return failure;
}

}  // namespace batchwise

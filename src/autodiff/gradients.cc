// SPDX-License-Identifier: Apache-2.0
#include "autodiff/gradients.h"

#include "base/check.h"

namespace batchwise {
namespace {

// Which values depend on one of `wrt`.
std::vector<bool> find_dependent(const Graph& graph, std::span<const ValueId> wrt) {
  std::vector<bool> dependent(graph.values.size(), false);
  for (ValueId id : wrt) dependent[index(id)] = true;
  for (const Node& node : graph.nodes) {
    bool any = false;
    for (ValueId id : node.inputs) any = any || (id != kNoValue && dependent[index(id)]);
    for (ValueId id : node.outputs) {
      if (any && id != kNoValue) dependent[index(id)] = true;
    }
  }
  return dependent;
}

// The reverse sweep: per value, the contributions found so far.
class Sweep {
 public:
  Sweep(Graph& graph, std::span<const GradientSeed> seeds, std::span<const ValueId> wrt)
      : graph_(graph),
        build_(graph),
        dependent_(find_dependent(graph, wrt)),
        contributions_(graph.values.size()) {
    build_.set_prefix("grad.");
    for (const GradientSeed& seed : seeds)
      contributions_[index(seed.value)].push_back(seed.gradient);
  }

  void run() {
    for (std::size_t n = graph_.nodes.size(); n-- > 0;) visit(NodeId(n));
  }
  const std::vector<ValueId>& contributions(ValueId id) const { return contributions_[index(id)]; }

 private:
  void visit(NodeId id) {
    const Node node = graph_.node(id);
    std::vector<bool> wanted;
    bool any_wanted = false;
    for (ValueId input : node.inputs) {
      wanted.push_back(input != kNoValue && dependent_[index(input)]);
      any_wanted = any_wanted || wanted.back();
    }
    std::vector<ValueId> grad_outputs;
    bool any_gradient = false;
    for (ValueId output : node.outputs) {
      const auto* parts = output == kNoValue ? nullptr : &contributions_[index(output)];
      const bool has = parts != nullptr && !parts->empty();
      grad_outputs.push_back(has && any_wanted ? sum_values(build_, *parts) : kNoValue);
      any_gradient = any_gradient || has;
    }
    if (!any_wanted || !any_gradient) return;
    differentiate(id, node, std::move(grad_outputs), std::move(wanted));
  }

  void differentiate(NodeId id, const Node& node, std::vector<ValueId> grad_outputs,
                     std::vector<bool> wanted) {
    const OpDef& row = op_row(node.op);
    if (row.gradient == nullptr) {
      fail_input(node.op, "node '{}' cannot be trained through: its op has no gradient", node.name);
    }
    GradientContext context(build_, NodeView(graph_, graph_.node(id)), std::move(grad_outputs),
                            wanted);
    row.gradient(context);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const ValueId gradient = context.results()[i];
      if (!wanted[i] || gradient == kNoValue) continue;
      BW_CHECK(graph_.shape(gradient) == graph_.shape(node.inputs[i]),
               "gradient of {} input {} has shape {}, not {}", node.op, i,
               graph_.shape(gradient).to_string(), graph_.shape(node.inputs[i]).to_string());
      contributions_[index(node.inputs[i])].push_back(gradient);
    }
  }

  Graph& graph_;
  GraphBuilder build_;
  std::vector<bool> dependent_;
  std::vector<std::vector<ValueId>> contributions_;
};

}  // namespace

ValueId sum_values(GraphBuilder& build, std::span<const ValueId> values) {
  BW_CHECK(!values.empty());
  ValueId sum = values.front();
  for (ValueId value : values.subspan(1)) sum = build.op("Add", {sum, value});
  return sum;
}

std::vector<std::vector<ValueId>> add_gradients(Graph& graph, std::span<const GradientSeed> seeds,
                                                std::span<const ValueId> wrt) {
  Sweep sweep(graph, seeds, wrt);
  sweep.run();
  std::vector<std::vector<ValueId>> result;
  for (ValueId id : wrt) result.push_back(sweep.contributions(id));
  return result;
}

std::vector<Accumulator> attach_accumulators(Graph& graph,
                                             const std::vector<std::vector<ValueId>>& contributions,
                                             std::span<const std::string> names,
                                             bool* single_sample) {
  std::vector<Accumulator> result;
  *single_sample = false;
  for (std::size_t p = 0; p < contributions.size(); ++p) {
    for (std::size_t use = 0; use < contributions[p].size(); ++use) {
      ValueId value = contributions[p][use];
      const NodeId made_by = graph.value(value).producer;
      if (made_by == kNoNode || !op_row(graph.node(made_by).op).accumulates) {
        *single_sample = true;
        value = GraphBuilder(graph).op("SumTo", {value}, {{"shape", graph.shape(value).dims()}});
      }
      const std::string suffix = use == 0 ? "" : fmt::format(".{}", use);
      const ValueId state = graph.add_state("gradient." + names[p] + suffix, graph.type(value));
      Node& node = graph.node(graph.value(value).producer);
      node.inputs.push_back(state);
      node.has_effect = true;
      result.push_back({state, static_cast<int>(p)});
    }
  }
  return result;
}

}  // namespace batchwise

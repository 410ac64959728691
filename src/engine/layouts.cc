// SPDX-License-Identifier: Apache-2.0
#include "engine/layouts.h"

#include <algorithm>
#include <array>

#include "ops/builder.h"

namespace batchwise {
namespace {

// The shape with leading axes of 1.
Shape at_rank(const Shape& shape, int rank) {
  std::vector<std::int64_t> dims(static_cast<std::size_t>(rank - shape.rank()), 1);
  dims.insert(dims.end(), shape.dims().begin(), shape.dims().end());
  return Shape(dims);
}

class LayoutAssigner {
 public:
  LayoutAssigner(Graph& graph, int threads, BackendChoice choice)
      : graph_(graph), threads_(threads), choice_(choice) {}

  void run() {
    std::vector<Node> old_nodes = std::move(graph_.nodes);
    graph_.nodes.clear();
    for (Node& node : old_nodes) place(std::move(node));
    for (ValueId& id : graph_.outputs) id = in_layout(id, Layout::kRowMajor);
  }

 private:
  void place(Node node) {
    const KernelRequest request(graph_, node, threads_);
    const KernelDef& kernel = *choose_kernel(request, choice_).kernel;
    const bool moves_nothing = is_free_transpose(graph_, node);
    const Layout layout = moves_nothing ? Layout::kRowMajor : wanted_layout(kernel, node);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId id = node.inputs[i];
      if (id == kNoValue || moves_nothing) continue;
      if (is_broadcast_rank(kernel, node, id)) {
        node.inputs[i] = in_layout(id, Layout::kRowMajor);
      } else if (follows(kernel, node, static_cast<int>(i))) {
        node.inputs[i] = in_layout(id, layout);
      }
    }
    // A gradient of weights takes over the memory of its accumulator, which is row-major.
    const Layout made = op_row(node.op).accumulates ? Layout::kRowMajor : layout;
    for (ValueId id : node.outputs) {
      if (id != kNoValue) {
        graph_.value(id).layout = layout_matters(graph_.shape(id)) ? made : Layout::kRowMajor;
        graph_.value(id).producer = NodeId(graph_.nodes.size());
      }
    }
    graph_.nodes.push_back(std::move(node));
  }

  Layout wanted_layout(const KernelDef& kernel, const Node& node) const {
    if (kernel.layout == LayoutSupport::kRowMajor) return Layout::kRowMajor;
    if (kernel.layout == LayoutSupport::kChannelsLast) return Layout::kChannelsLast;
    bool any = false;
    for (const ValueId id : node.inputs) {
      if (id == kNoValue) continue;
      const bool short_rank = is_broadcast_rank(kernel, node, id);
      // An operand of fewer axes lies in their order, which is another than channels-last.
      if (short_rank && layout_matters(at_rank(graph_.shape(id), full_rank(node)))) {
        return Layout::kRowMajor;
      }
      any = any || (!short_rank && graph_.value(id).layout == Layout::kChannelsLast);
    }
    return any ? Layout::kChannelsLast : Layout::kRowMajor;
  }

  int full_rank(const Node& node) const { return graph_.shape(node.outputs[0]).rank(); }

  // Is the value broadcast over axes that it does not have?
  bool is_broadcast_rank(const KernelDef& kernel, const Node& node, ValueId id) const {
    return kernel.layout == LayoutSupport::kAny && graph_.shape(id).rank() < full_rank(node);
  }

  // Whether input i must lie in the node's layout; weights and small broadcast inputs need not.
  bool follows(const KernelDef& kernel, const Node& node, int i) const {
    const ValueId id = node.inputs[static_cast<std::size_t>(i)];
    if (!layout_matters(graph_.shape(id))) return false;
    if (kernel.layout == LayoutSupport::kChannelsLast) return (kernel.activation_inputs >> i) & 1u;
    return true;
  }

  ValueId in_layout(ValueId id, Layout layout) {
    const Value& value = graph_.value(id);
    if (value.layout == layout || !layout_matters(value.type.shape)) return id;
    copies_.resize(graph_.values.size(), {kNoValue, kNoValue});
    ValueId& copy = copies_[index(id)][static_cast<std::size_t>(layout)];
    if (copy != kNoValue) return copy;
    const bool last = layout == Layout::kChannelsLast;
    const BatchAxis batch = value.batch;
    const ValueId made = GraphBuilder(graph_).op(
        "Reorder", {id}, {{"to", std::string(last ? "channels_last" : "row_major")}});
    graph_.value(made).layout = layout;
    graph_.value(made).batch = batch;
    copies_[index(id)][static_cast<std::size_t>(layout)] = made;
    return made;
  }

  Graph& graph_;
  int threads_;
  BackendChoice choice_;
  std::vector<std::array<ValueId, 2>> copies_;  // by value: its copy in each layout
};

}  // namespace

bool layout_matters(const Shape& shape) {
  return shape.rank() >= 3 && shape[1] > 1 && shape.elements(2, shape.rank()) > 1;
}

bool is_free_transpose(const Graph& graph, const Node& node) {
  if (node.op != "Transpose" || node.inputs.empty()) return false;
  const Value& input = graph.value(node.inputs[0]);
  if (input.layout != Layout::kChannelsLast) return false;
  std::vector<std::int64_t> as_it_lies{0};
  for (int axis = 2; axis < input.type.shape.rank(); ++axis) as_it_lies.push_back(axis);
  as_it_lies.push_back(1);
  return node.attributes.get_ints("perm") == as_it_lies;
}

void assign_layouts(Graph& graph, int threads, BackendChoice choice) {
  LayoutAssigner(graph, threads, choice).run();
}

}  // namespace batchwise

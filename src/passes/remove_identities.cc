// SPDX-License-Identifier: Apache-2.0
#include "ops/op.h"
#include "passes/pass.h"

namespace batchwise {

bool remove_identities(Graph& graph, const PassContext&) {
  bool changed = false;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (node.op != "Identity" && node.op != "Dropout") continue;
    // A second output of Dropout, its mask, is kept where somebody looks at it.
    if (node.outputs.size() > 1 && node.outputs[1] != kNoValue) {
      if (!graph.consumers(node.outputs[1]).empty() || graph.is_output(node.outputs[1])) continue;
    }
    // An output keeps its name: a graph output that is an Identity stays.
    if (graph.is_output(node.outputs[0])) continue;
    graph.replace_uses(node.outputs[0], node.inputs[0]);
    changed = true;
  }
  return remove_dead(graph, node_has_effect) || changed;
}

}  // namespace batchwise

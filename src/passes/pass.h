// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "passes/bind_batch.h"

namespace batchwise {

// What passes may ask of the engine beside constants: can the kernel that would take this node
// apply the epilogue?
struct Capabilities {
  std::function<bool(const Graph&, const Node&, const Epilogue&)> takes_epilogue;
};

struct PassContext {
  const Evaluator& evaluator;
  const Capabilities& capabilities;
};

// Graph to graph; returns whether it changed anything. Leaves nodes in an order that can run.
using PassFunction = bool (*)(Graph&, const PassContext&);

struct PassDef {
  std::string_view name;
  std::string_view doc;
  PassFunction run;
  bool keeps_weights;  // changes no weight: right for a graph that is trained, too
};

bool remove_identities(Graph& graph, const PassContext& context);
bool fold_constants(Graph& graph, const PassContext& context);
bool fold_scale(Graph& graph, const PassContext& context);
bool fold_batch_norm(Graph& graph, const PassContext& context);
bool fuse_bias(Graph& graph, const PassContext& context);
bool fuse_epilogues(Graph& graph, const PassContext& context);
bool remove_dead_nodes(Graph& graph, const PassContext& context);

// All passes, in the order in which they run.
std::span<const PassDef> all_passes();

struct PassRecord {
  std::string name;
  bool changed = false;
  bool disabled = false;
  double microseconds = 0;
};

// Runs the passes but those named in `disabled`, each followed by verify() and verify_ops().
// Throws Error where `disabled` names one that is not there.
std::vector<PassRecord> run_passes(Graph& graph, const PassContext& context, bool keep_weights,
                                   const std::set<std::string>& disabled);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <chrono>

#include "base/check.h"
#include "ops/op.h"
#include "passes/pass.h"

namespace batchwise {

std::span<const PassDef> all_passes() {
  static constexpr std::array<PassDef, 7> kPasses{{
      // First, so that no later pattern has to look through an Identity.
      {"remove_identities", "drops Identity, and Dropout outside training", remove_identities,
       true},
      // Integers and small floats; large weights stay expressions until they are packed.
      {"fold_constants", "computes small constant nodes", fold_constants, true},
      // Old exports split a normalization in three.
      {"fold_scale", "folds constant factors and shifts into the normalization before", fold_scale,
       false},
      // Before epilogues: the activation then follows the layer itself.
      {"fold_batch_norm", "folds a normalization into the layer before it", fold_batch_norm, false},
      {"fuse_bias", "makes an added constant the layer's bias", fuse_bias, false},
      {"fuse_epilogues", "residual and activation are done by the layer's kernel", fuse_epilogues,
       true},
      {"remove_dead_nodes", "drops what nothing uses", remove_dead_nodes, true},
  }};
  return kPasses;
}

std::vector<PassRecord> run_passes(Graph& graph, const PassContext& context, bool keep_weights,
                                   const std::set<std::string>& disabled) {
  for (const std::string& name : disabled) {
    const auto passes = all_passes();
    if (std::none_of(passes.begin(), passes.end(),
                     [&](const PassDef& pass) { return pass.name == name; })) {
      fail_input("--disable-pass", "there is no pass {}", name);
    }
  }
  std::vector<PassRecord> records;
  for (const PassDef& pass : all_passes()) {
    if (keep_weights && !pass.keeps_weights) continue;
    PassRecord record{std::string(pass.name)};
    record.disabled = disabled.count(record.name) != 0;
    if (!record.disabled) {
      const auto start = std::chrono::steady_clock::now();
      record.changed = pass.run(graph, context);
      record.microseconds =
          std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
              .count();
      verify(graph);
      verify_ops(graph);
    }
    records.push_back(std::move(record));
  }
  return records;
}

bool remove_dead_nodes(Graph& graph, const PassContext&) {
  return remove_dead(graph, node_has_effect);
}

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "engine/program.h"

#include "engine/compile.h"
#include "engine/constant_expressions.h"

namespace batchwise {
namespace {

// Makes the constants that no earlier program of the model has made.
void bind_constants(const Graph& graph, std::vector<ConstantUse>& uses, ConstantStore& store,
                    int threads) {
  std::unique_ptr<ThreadPool> pool;
  for (ConstantUse& use : uses) {
    use.data = store.get(use.key, use.bytes, [&](std::byte* target) {
      const Tensor value = evaluate_constant(graph, use.value);
      if (!use.packing) {
        value.copy_to(target);
        value.release_pages();
        return;
      }
      if (!pool) pool = std::make_unique<ThreadPool>(threads);
      const Tensor dense = value.materialized();
      // A copy, as of what lies unaligned in a file, stands in for the pages that it was read from.
      if (dense.data() != value.data()) value.release_pages();
      use.backend->pack(*use.packing, {dense.dtype(), dense.shape()}, dense.data(),
                        reinterpret_cast<float*>(target), *pool);
      value.release_pages();
    });
  }
}

}  // namespace

CompiledProgram::CompiledProgram(Graph graph, const ProgramOptions& options,
                                 std::shared_ptr<ConstantStore> constants)
    : options_(options), graph_(std::move(graph)), store_(std::move(constants)) {
  compile_program(*this);
  if (!options_.plan_only) bind_constants(graph_, constants_, *store_, options_.threads);
}

int CompiledProgram::find_state(const std::string& key) const {
  for (std::size_t i = 0; i < states_.size(); ++i) {
    if (states_[i].key == key) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace batchwise

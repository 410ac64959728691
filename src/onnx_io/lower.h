// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "ops/builder.h"

namespace batchwise::onnx_io {

// A node as a file has it, in whatever form its opset gives it.
struct OldNode {
  std::string name, op;
  std::int64_t opset = 0;
  std::string where;
  std::vector<ValueId> inputs;
  Attributes attributes;
  int num_outputs = 1;
};

// Appends the node in the newest form of its op, or as the few nodes that do the same. Returns its
// outputs; one that is not supported is kNoValue.
std::vector<ValueId> lower_node(Graph& graph, OldNode node);

}  // namespace batchwise::onnx_io

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "graph/graph.h"

namespace batchwise {

// The integers of a value that is constant or is computed from shapes and constants by integer ops
// alone, as exporters write "keep the batch, flatten the rest"; nothing where it is not. With it,
// types can be inferred before anything is folded.
std::optional<std::vector<std::int64_t>> shape_values(const Graph& graph, ValueId id);

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "graph/graph.h"

// Models and inputs whose every bit is fixed: numbers come from a counter, through operations that
// are exact, so that they are the same on every machine.
namespace batchwise::properties {

// `count` numbers in [-scale, scale). Requires: scale is a power of two.
std::vector<float> fixed_floats(std::int64_t count, std::uint64_t stream, float scale);

// Class ids in [0, classes).
std::vector<std::int64_t> fixed_labels(std::int64_t count, std::uint64_t stream,
                                       std::int64_t classes);

// An architecture with fixed weights: matrices and filters near He's scale, statistics of batch
// normalization that are not 0 and 1.
Graph fixed_architecture(const std::string& name, std::vector<std::int64_t> input,
                         std::vector<std::int64_t> hidden = {512, 512});

// One dense layer with a bias, k inputs and n outputs.
Graph fixed_layer(std::int64_t k, std::int64_t n);

}  // namespace batchwise::properties

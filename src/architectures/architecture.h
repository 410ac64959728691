// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace batchwise {

struct ArchitectureOptions {
  std::vector<std::int64_t> input;  // of one sample: {784} or {1, 28, 28}
  std::int64_t classes = 10;
  std::vector<std::int64_t> hidden = {512, 512};  // mlp: units of each hidden layer
  std::uint64_t seed = 0;
};

// A new model that ends in logits, with He-normal weights and zero biases. Its input "input" has
// the free batch axis 0; its output is "logits".
//   mlp       dense layers with ReLU; an image is flattened
//   cnn       two 5x5 convolutions (32, 64 channels; 3x3 on inputs below 16x16), each with ReLU and
//             2x2 max-pool, then dense 1024 with ReLU
//   resnet20  the one of He et al., 2015, for CIFAR, with projection shortcuts
// Throws Error for a name that is not there and for an input that the model cannot take.
Graph make_architecture(const std::string& name, const ArchitectureOptions& options);

}  // namespace batchwise

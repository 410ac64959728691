// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "architectures/architecture.h"
#include "ops/builder.h"

namespace batchwise {

// Appends layers with fresh weights to a graph. Each layer's node, output and weights are named
// after it: "dense1", "dense1.weight", "dense1.bias". Borrows the graph.
class NetworkBuilder {
 public:
  NetworkBuilder(Graph& graph, std::uint64_t seed) : build_(graph), seed_(seed) {}

  // The input with a free batch of 1.
  ValueId input(const std::vector<std::int64_t>& sample_shape);
  ValueId flatten(ValueId x, const std::string& name);
  // Requires: x is a matrix.
  ValueId dense(ValueId x, std::int64_t units, const std::string& name);
  // A square convolution that keeps the size at stride 1. Without bias where a batch norm follows.
  ValueId conv(ValueId x, std::int64_t channels, std::int64_t kernel, std::int64_t stride,
               bool bias, const std::string& name);
  ValueId batch_norm(ValueId x, const std::string& name);
  ValueId relu(ValueId x, const std::string& name);
  ValueId add(ValueId a, ValueId b, const std::string& name);
  ValueId max_pool_2x2(ValueId x, const std::string& name);
  ValueId global_average_pool(ValueId x, const std::string& name);

 private:
  ValueId weight(const std::string& name, const Shape& shape, std::int64_t fan_in);
  ValueId filled(const std::string& name, std::int64_t count, float value);
  ValueId append(const std::string& op, std::vector<ValueId> inputs, Attributes attributes,
                 const std::string& name);

  GraphBuilder build_;
  std::uint64_t seed_;
};

}  // namespace batchwise

// SPDX-License-Identifier: Apache-2.0
#include "fixed_models.h"

#include "architectures/architecture.h"
#include "ops/builder.h"
#include "tensor/counter_random.h"

namespace batchwise::properties {
namespace {

// The largest power of two whose uniform numbers have at most He's variance, 2 / inputs.
float weight_scale(std::int64_t inputs) {
  float scale = 1;
  while (scale * scale * static_cast<float>(inputs) > 6) scale /= 2;
  return scale;
}

Tensor shifted(const Shape& shape, std::uint64_t stream, float middle, float spread) {
  std::vector<float> values = fixed_floats(shape.elements(), stream, spread);
  for (float& value : values) value += middle;
  return Tensor::from(shape, values);
}

// Weights of layers are matrices and filters; vectors are biases, scales and moments.
void fix_weights(Graph& graph) {
  std::uint64_t stream = 1000;
  for (const Node& node : graph.nodes) {
    const bool normalizes = node.op == "BatchNormalization";
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      Value& value = graph.value(node.inputs[i]);
      if (value.kind != ValueKind::kConstant || value.type.dtype != DType::kFloat32) continue;
      const Shape& shape = value.type.shape;
      ++stream;
      if (normalizes && (i == 1 || i == 4)) {  // scale and variance
        value.constant = shifted(shape, stream, 1, 0.25f);
      } else if (shape.rank() < 2) {
        value.constant = shifted(shape, stream, 0, 0.125f);
      } else {
        const std::int64_t outputs =
            node.op == "Conv" || node.attributes.get_int("transB", 0) != 0 ? shape[0] : shape[1];
        value.constant = shifted(shape, stream, 0, weight_scale(shape.elements() / outputs));
      }
    }
  }
}

}  // namespace

std::vector<float> fixed_floats(std::int64_t count, std::uint64_t stream, float scale) {
  std::vector<float> values(static_cast<std::size_t>(count));
  RandomBlock block{};
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % 4 == 0) block = philox4x32({static_cast<std::uint32_t>(i / 4), 0, 0, 0}, stream);
    const auto centered = static_cast<std::int32_t>(block[i % 4] >> 8) - (1 << 23);
    values[i] = static_cast<float>(centered) * (scale / (1 << 23));
  }
  return values;
}

std::vector<std::int64_t> fixed_labels(std::int64_t count, std::uint64_t stream,
                                       std::int64_t classes) {
  std::vector<std::int64_t> labels(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    labels[i] = philox4x32({static_cast<std::uint32_t>(i), 0, 0, 1}, stream)[0] % classes;
  }
  return labels;
}

Graph fixed_architecture(const std::string& name, std::vector<std::int64_t> input,
                         std::vector<std::int64_t> hidden) {
  ArchitectureOptions options;
  options.input = std::move(input);
  options.hidden = std::move(hidden);
  Graph graph = make_architecture(name, options);
  fix_weights(graph);
  return graph;
}

Graph fixed_layer(std::int64_t k, std::int64_t n) {
  Graph graph;
  GraphBuilder build(graph);
  const ValueId x = graph.add_input("x", {DType::kFloat32, Shape{1, k}}, {0, 1});
  const ValueId w = graph.add_constant("w", Tensor::zeros(DType::kFloat32, Shape{k, n}));
  const ValueId b = graph.add_constant("b", Tensor::zeros(DType::kFloat32, Shape{n}));
  graph.outputs = {build.op("Gemm", {x, w, b})};
  fix_weights(graph);
  return graph;
}

}  // namespace batchwise::properties

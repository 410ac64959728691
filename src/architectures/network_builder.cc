// SPDX-License-Identifier: Apache-2.0
#include "architectures/network_builder.h"

#include "architectures/initial_weights.h"

namespace batchwise {

using Ints = std::vector<std::int64_t>;

ValueId NetworkBuilder::input(const Ints& sample_shape) {
  Ints dims{1};
  dims.insert(dims.end(), sample_shape.begin(), sample_shape.end());
  return build_.graph().add_input("input", {DType::kFloat32, Shape(dims)}, {0, 1});
}

ValueId NetworkBuilder::flatten(ValueId x, const std::string& name) {
  return append("Flatten", {x}, {{"axis", std::int64_t{1}}}, name);
}

ValueId NetworkBuilder::dense(ValueId x, std::int64_t units, const std::string& name) {
  const std::int64_t features = build_.shape(x)[1];
  const ValueId w = weight(name + ".weight", {features, units}, features);
  return append("Gemm", {x, w, filled(name + ".bias", units, 0)}, {}, name);
}

ValueId NetworkBuilder::conv(ValueId x, std::int64_t channels, std::int64_t kernel,
                             std::int64_t stride, bool bias, const std::string& name) {
  const std::int64_t in_channels = build_.shape(x)[1];
  const Shape shape{channels, in_channels, kernel, kernel};
  std::vector<ValueId> inputs{x, weight(name + ".weight", shape, in_channels * kernel * kernel)};
  if (bias) inputs.push_back(filled(name + ".bias", channels, 0));
  const std::int64_t pad = kernel / 2;
  return append("Conv", inputs,
                {{"kernel_shape", Ints{kernel, kernel}},
                 {"pads", Ints{pad, pad, pad, pad}},
                 {"strides", Ints{stride, stride}}},
                name);
}

ValueId NetworkBuilder::batch_norm(ValueId x, const std::string& name) {
  const std::int64_t channels = build_.shape(x)[1];
  return append("BatchNormalization",
                {x, filled(name + ".scale", channels, 1), filled(name + ".bias", channels, 0),
                 filled(name + ".mean", channels, 0), filled(name + ".variance", channels, 1)},
                {}, name);
}

ValueId NetworkBuilder::relu(ValueId x, const std::string& name) {
  return append("Relu", {x}, {}, name);
}

ValueId NetworkBuilder::add(ValueId a, ValueId b, const std::string& name) {
  return append("Add", {a, b}, {}, name);
}

ValueId NetworkBuilder::max_pool_2x2(ValueId x, const std::string& name) {
  return append("MaxPool", {x}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}, name);
}

ValueId NetworkBuilder::global_average_pool(ValueId x, const std::string& name) {
  return append("GlobalAveragePool", {x}, {}, name);
}

ValueId NetworkBuilder::weight(const std::string& name, const Shape& shape, std::int64_t fan_in) {
  constexpr std::int64_t kMostBytes = std::int64_t{1} << 33;
  const std::int64_t bytes = checked_bytes(shape, sizeof(float), name);
  if (bytes > kMostBytes) {
    fail_input(name, "of shape {} would take {} bytes; at most {} are made", shape.to_string(),
               bytes, kMostBytes);
  }
  return build_.graph().add_constant(name, he_normal(shape, fan_in, seed_, name));
}

ValueId NetworkBuilder::filled(const std::string& name, std::int64_t count, float value) {
  const std::vector<float> values(static_cast<std::size_t>(count), value);
  return build_.graph().add_constant(name, Tensor::from(Shape{count}, values));
}

ValueId NetworkBuilder::append(const std::string& op, std::vector<ValueId> inputs,
                               Attributes attributes, const std::string& name) {
  const ValueId output = build_.op(op, std::move(inputs), std::move(attributes));
  Graph& graph = build_.graph();
  graph.nodes.back().name = name;
  graph.value(output).name = name;
  return output;
}

}  // namespace batchwise

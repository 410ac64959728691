// SPDX-License-Identifier: Apache-2.0
#include "op_case.h"

#include <numeric>

#include "autodiff/gradients.h"
#include "backend/reference/interpreter.h"
#include "base/check.h"
#include "ops/rules.h"

namespace batchwise::op_cases {
namespace {

// A small generator of our own: the same numbers with every standard library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

std::uint64_t hash(const std::string& text) {
  std::uint64_t value = 1469598103934665603u;
  for (char c : text) value = (value ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return value;
}

// Numbers at equal distances, shuffled: no two are so near that a maximum or a kink lies between a
// number and its neighbour of a finite difference.
std::vector<double> spread(std::int64_t count, double low, double high, Random& random) {
  std::vector<double> values;
  // Two tensors of one range never meet in a number.
  const double offset = 0.2 + 0.6 * static_cast<double>(random.next() >> 11) * 0x1p-53;
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back(low +
                     (high - low) * (static_cast<double>(i) + offset) / static_cast<double>(count));
  }
  for (std::size_t i = values.size(); i > 1; --i)
    std::swap(values[i - 1], values[random.next() % i]);
  return values;
}

template <typename To, typename From>
Tensor tensor_of(const Shape& shape, const std::vector<From>& values) {
  Tensor tensor = Tensor::zeros(dtype_of<To>(), shape);
  auto* data = reinterpret_cast<To*>(tensor.mutable_data());
  BW_CHECK(static_cast<std::int64_t>(values.size()) == shape.elements());
  for (std::size_t i = 0; i < values.size(); ++i) data[i] = static_cast<To>(values[i]);
  return tensor;
}

Tensor float_tensor(DType floating, const Shape& shape, const std::vector<double>& values) {
  return floating == DType::kFloat64 ? tensor_of<double>(shape, values)
                                     : tensor_of<float>(shape, values);
}

Tensor make_tensor(const CaseInput& input, DType floating, Random& random) {
  switch (input.dtype) {
    case DType::kFloat32:
      return float_tensor(floating, input.shape,
                          spread(input.shape.elements(), input.low, input.high, random));
    case DType::kInt64:
      return tensor_of<std::int64_t>(input.shape, input.integers);
    case DType::kInt32:
      return tensor_of<std::int32_t>(input.shape, input.integers);
    case DType::kUInt8:
      return tensor_of<std::uint8_t>(input.shape, input.integers);
    case DType::kBool:
      return tensor_of<bool>(input.shape, input.integers);
    default:
      fail_input("op case", "no values of {}", dtype_name(input.dtype));
  }
}

ValueId add_case_input(CaseGraph& result, const CaseInput& input, const std::string& name,
                       Tensor tensor, bool samples) {
  Graph& graph = result.graph;
  switch (input.role) {
    case InputRole::kConstant:
      return graph.add_constant(name, std::move(tensor));
    case InputRole::kWeight:
      return graph.add_state(name, {tensor.dtype(), tensor.shape()}, tensor);
    default: {
      const BatchAxis batch{samples && input.shape.rank() > 0 ? 0 : -1, 1};
      const ValueId id = graph.add_input(name, {tensor.dtype(), tensor.shape()}, batch);
      result.inputs.push_back(std::move(tensor));
      return id;
    }
  }
}

}  // namespace

CaseInput floats(Shape shape, double low, double high) {
  return {.role = InputRole::kActivation, .shape = std::move(shape), .low = low, .high = high};
}
CaseInput weight(Shape shape, double low, double high) {
  return {.role = InputRole::kWeight, .shape = std::move(shape), .low = low, .high = high};
}
CaseInput constant(Shape shape, double low, double high) {
  return {.role = InputRole::kConstant,
          .shape = std::move(shape),
          .low = low,
          .high = high,
          .differentiable = false};
}
CaseInput integers(Shape shape, std::vector<std::int64_t> values, DType dtype) {
  return {.role = InputRole::kActivation,
          .dtype = dtype,
          .shape = std::move(shape),
          .integers = std::move(values),
          .differentiable = false};
}
CaseInput int64s(const std::vector<std::int64_t>& values) {
  CaseInput input = integers({static_cast<std::int64_t>(values.size())}, values);
  input.role = InputRole::kConstant;
  return input;
}
CaseInput absent() { return {}; }
CaseInput not_differentiated(CaseInput input) {
  input.differentiable = false;
  return input;
}

std::vector<OpCases> all_cases() {
  std::vector<OpCases> all;
  for (auto family : {elementwise_cases, shape_cases, layer_cases, training_cases}) {
    for (OpCases& cases : family()) all.push_back(std::move(cases));
  }
  return all;
}

CaseGraph build_case(std::string_view op, const OpCase& op_case, DType floating) {
  CaseGraph result;
  result.name = fmt::format("{}: {}", op, op_case.label);
  result.state = op_case.state;
  result.state.accumulate = op_case.accumulate;
  Random random(hash(result.name));
  Node node{.name = "node", .op = std::string(op), .attributes = op_case.attributes};
  for (std::size_t i = 0; i < op_case.inputs.size(); ++i) {
    const CaseInput& input = op_case.inputs[i];
    if (input.role == InputRole::kAbsent) {
      node.inputs.push_back(kNoValue);
      continue;
    }
    node.inputs.push_back(add_case_input(result, input, fmt::format("x{}", i),
                                         make_tensor(input, floating, random), op_case.samples));
    if (input.differentiable && input.dtype == DType::kFloat32) {
      result.wrt.push_back(node.inputs.back());
    }
  }
  result.node = result.graph.add_node(std::move(node), op_case.num_outputs);
  infer_node(result.graph, result.node);
  result.graph.outputs = result.graph.node(result.node).outputs;
  return result;
}

std::vector<std::vector<ValueId>> add_case_gradients(CaseGraph& result, int seeded_outputs) {
  Graph& graph = result.graph;
  const Node node = graph.node(result.node);
  if (op_row(node.op).gradient == nullptr || result.wrt.empty()) return {};
  std::vector<GradientSeed> seeds;
  for (int o = 0; o < seeded_outputs; ++o) {
    const ValueId output = node.outputs[static_cast<std::size_t>(o)];
    const TensorType type = graph.type(output);
    if (!is_float(type.dtype)) continue;
    Random random(hash(result.name) + static_cast<std::uint64_t>(o) + 1);
    result.inputs.push_back(
        float_tensor(type.dtype, type.shape, spread(type.shape.elements(), -1, 1, random)));
    seeds.push_back({output, graph.add_input(fmt::format("r{}", o), type)});
  }
  if (seeds.empty()) return {};
  return add_gradients(graph, seeds, result.wrt);
}

std::vector<Tensor> CaseGraph::run() const {
  Graph all = graph;
  all.outputs.clear();
  for (const Node& node_of : all.nodes) {
    for (ValueId id : node_of.outputs) {
      if (id != kNoValue) all.outputs.push_back(id);
    }
  }
  const std::vector<Tensor> outputs = reference::interpret(all, inputs, nullptr, state);
  std::vector<Tensor> values(graph.values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (graph.values[i].constant) values[i] = graph.values[i].constant->materialized();
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) values[index(graph.inputs[i])] = inputs[i];
  for (std::size_t i = 0; i < outputs.size(); ++i) values[index(all.outputs[i])] = outputs[i];
  return values;
}

std::vector<double> to_doubles(const Tensor& tensor) {
  const auto widen = [](auto values) { return std::vector<double>(values.begin(), values.end()); };
  return tensor.dtype() == DType::kFloat64 ? widen(tensor.values<double>())
                                           : widen(tensor.values<float>());
}

}  // namespace batchwise::op_cases

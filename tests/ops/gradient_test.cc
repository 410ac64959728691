// SPDX-License-Identifier: Apache-2.0
// Every differentiable op row: its gradient in the float64 reference against finite differences of
// its forward pass there.
#include <gtest/gtest.h>

#include <cmath>

#include "backend/reference/interpreter.h"
#include "op_case.h"

namespace batchwise::op_cases {
namespace {

constexpr double kStep = 1e-5;
// Central differences in float64 err by the step squared times the third derivative.
constexpr double kTolerance = 2e-6;

// sum(output * r) over the seeded outputs, of the forward node alone.
double loss(const Graph& forward, std::span<const Tensor> inputs, const RunState& state,
            std::span<const Tensor> weights) {
  const std::vector<Tensor> outputs = reference::interpret(forward, inputs, nullptr, state);
  double sum = 0;
  for (std::size_t o = 0; o < weights.size(); ++o) {
    const std::vector<double> y = to_doubles(outputs[o]), r = to_doubles(weights[o]);
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * r[i];
  }
  return sum;
}

// The tensor that a case's value starts with, and may be moved.
Tensor& given_tensor(Graph& graph, std::vector<Tensor>& inputs, ValueId id) {
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    if (graph.inputs[i] == id) return inputs[i];
  }
  return *graph.value(id).constant;
}

// The sums of contributions to a gradient.
std::vector<double> total(const std::vector<Tensor>& values, const std::vector<ValueId>& parts,
                          std::int64_t elements) {
  std::vector<double> sum(static_cast<std::size_t>(elements), 0.0);
  for (ValueId part : parts) {
    const std::vector<double> addend = to_doubles(values[index(part)]);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += addend.at(i);
  }
  return sum;
}

// Says which element of which gradient is wrong; empty where none is.
std::string find_wrong_gradient(const CaseGraph& forward, const CaseGraph& full,
                                const std::vector<std::vector<ValueId>>& contributions) {
  const std::vector<Tensor> values = full.run();
  Graph graph = forward.graph;
  std::vector<Tensor> inputs = forward.inputs;
  const std::vector<Tensor> seeds(full.inputs.begin() + static_cast<std::ptrdiff_t>(inputs.size()),
                                  full.inputs.end());
  for (std::size_t w = 0; w < forward.wrt.size(); ++w) {
    Tensor& moved = given_tensor(graph, inputs, forward.wrt[w]);
    moved = Tensor::copy_of(moved.dtype(), moved.shape(), moved.data());
    auto* elements = reinterpret_cast<double*>(moved.mutable_data());
    const std::vector<double> analytic = total(values, contributions[w], moved.shape().elements());
    const auto loss_at = [&](double& element, double value) {
      element = value;
      return loss(graph, inputs, forward.state, seeds);
    };
    for (std::size_t i = 0; i < analytic.size(); ++i) {
      const double at = elements[i];
      const double above = loss_at(elements[i], at + kStep);
      const double numeric = (above - loss_at(elements[i], at - kStep)) / (2 * kStep);
      elements[i] = at;
      if (!(std::abs(analytic[i] - numeric) <= kTolerance * std::max(1.0, std::abs(numeric)))) {
        return fmt::format("{}: gradient {} element {} is {}, not {}", forward.name, w, i,
                           analytic[i], numeric);
      }
    }
  }
  return "";
}

TEST(OpGradient, AgreesWithFiniteDifferences) {
  int checked = 0;
  for (const OpCases& cases : all_cases()) {
    for (const OpCase& op_case : cases.cases) {
      const CaseGraph forward = build_case(cases.op, op_case, DType::kFloat64);
      CaseGraph full = forward;
      const auto contributions = add_case_gradients(full, op_case.seeded_outputs);
      if (contributions.empty()) continue;
      EXPECT_EQ(find_wrong_gradient(forward, full, contributions), "");
      ++checked;
    }
  }
  EXPECT_GT(checked, 100);
}

// A wrong gradient is found: that of Mul, read as that of Add.
TEST(OpGradient, FindsAPlantedError) {
  const OpCase op_case{"planted", {floats({2, 3}), floats({2, 3})}};
  const CaseGraph forward = build_case("Mul", op_case, DType::kFloat64);
  CaseGraph full = forward;
  add_case_gradients(full, 1);
  const ValueId seed = full.graph.inputs.back();
  EXPECT_NE(find_wrong_gradient(forward, full, {{seed}, {seed}}), "");
}

}  // namespace
}  // namespace batchwise::op_cases

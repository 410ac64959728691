// SPDX-License-Identifier: Apache-2.0
#include "op_case.h"

namespace batchwise::op_cases {
namespace {

using Ints = std::vector<std::int64_t>;

std::vector<OpCase> batch_norm_training_cases() {
  const auto inputs = [](Shape shape) {
    const Shape channels{shape[1]};
    return std::vector<CaseInput>{floats(std::move(shape)), weight(channels, 0.5, 2),
                                  weight(channels), not_differentiated(weight(channels)),
                                  not_differentiated(weight(channels, 0.5, 2))};
  };
  const Attributes momentum{{"momentum", 0.75}, {"epsilon", 1e-3}};
  return {{"images", inputs({4, 3, 2, 5}), momentum, 5, 1},
          {"matrix", inputs({5, 7}), momentum, 5, 1},
          {"groups of 2", inputs({6, 3, 2, 2}), {{"group", 2}, {"momentum", 0.5}}, 5, 1},
          {"a remainder", inputs({7, 3, 2, 2}), {{"group", 3}}, 5, 1}};
}

std::vector<OpCase> cross_entropy_cases() {
  const CaseInput labels = integers({3}, {0, 4, 2});
  return {{"int64", {floats({3, 5}, -4, 4), labels}},
          {"int32", {floats({3, 5}), integers({3}, {0, 4, 2}, DType::kInt32)}},
          {"uint8", {floats({3, 5}), integers({3}, {0, 4, 2}, DType::kUInt8)}},
          {"many classes", {floats({2, 131}, -9, 9), integers({2}, {130, 7})}},
          {"positions", {floats({2, 3, 4}), integers({2, 4}, {0, 1, 2, 0, 1, 1, 2, 2})}}};
}

CaseInput accumulator(Shape shape) { return not_differentiated(weight(std::move(shape))); }

OpCase starting(OpCase op_case) {
  op_case.label += ", from zero";
  op_case.accumulate = false;
  return op_case;
}

// Each from zero, and continuing an accumulator.
std::vector<OpCase> both_starts(const std::vector<OpCase>& cases) {
  std::vector<OpCase> result;
  for (OpCase op_case : cases) {
    op_case.accumulate = true;
    result.push_back(op_case);
    result.push_back(starting(op_case));
  }
  return result;
}

std::vector<OpCase> sum_to_cases() {
  return both_starts(
      {{"bias", {floats({5, 3}), accumulator({3})}, {{"shape", Ints{3}}}},
       {"long bias", {floats({9, 67}), accumulator({67})}, {{"shape", Ints{67}}}},
       {"channels", {floats({4, 3, 2, 5}), accumulator({3, 1, 1})}, {{"shape", Ints{3, 1, 1}}}},
       {"last axis", {floats({2, 5, 4, 3}), accumulator({3})}, {{"shape", Ints{3}}}},
       {"scalar", {floats({4, 3}), accumulator({})}, {{"shape", Ints{}}}},
       {"inner axis", {floats({4, 3, 2}), accumulator({4, 1, 2})}, {{"shape", Ints{4, 1, 2}}}},
       {"equal shapes", {floats({4, 3}), accumulator({4, 3})}, {{"shape", Ints{4, 3}}}},
       {"no accumulator", {floats({4, 3})}, {{"shape", Ints{1, 3}}}}});
}

std::vector<OpCase> weight_gradient_cases() {
  return both_starts({{"rows", {floats({7, 5}), floats({7, 3}), accumulator({5, 3})}},
                      {"more rows", {floats({35, 19}), floats({35, 67}), accumulator({19, 67})}},
                      {"sequence", {floats({2, 3, 5}), floats({2, 3, 4}), accumulator({5, 4})}},
                      {"one column", {floats({9, 33}), floats({9, 1}), accumulator({33, 1})}}});
}

std::vector<OpCase> conv_gradient_cases() {
  const Attributes plain{{"kernel_shape", Ints{3, 3}},
                         {"strides", Ints{1, 1}},
                         {"dilations", Ints{1, 1}},
                         {"pads", Ints{1, 1, 1, 1}},
                         {"group", 1}};
  Attributes strided = plain;
  strided.set("strides", Ints{2, 2});
  return both_starts(
      {{"3x3", {floats({3, 2, 5, 4}), floats({3, 4, 5, 4}), accumulator({4, 2, 3, 3})}, plain},
       {"strides",
        {floats({2, 2, 5, 4}), floats({2, 4, 3, 2}), accumulator({4, 2, 3, 3})},
        strided}});
}

std::vector<OpCase> gather_gradient_cases() {
  return both_starts(
      {{"embedding",
        {floats({3, 2, 4}), integers({3, 2}, {0, 4, 4, 2, -1, 0}), accumulator({5, 4})},
        {{"axis", 0}, {"shape", Ints{5, 4}}}}});
}

CaseInput rate(double value) { return constant({}, value, value); }

std::vector<OpCase> sgd_cases() {
  const CaseInput w = not_differentiated(weight({3, 37}));
  const CaseInput velocity = not_differentiated(weight({3, 37}));
  const CaseInput gradient = not_differentiated(floats({3, 37}));
  std::vector<OpCase> cases{
      {"plain", {w, gradient, absent(), rate(0.1), rate(0.5)}},
      {"momentum", {w, gradient, velocity, rate(0.1), rate(1)}, {{"momentum", 0.9}}, 2},
      {"all",
       {w, gradient, velocity, rate(0.1), rate(0.25)},
       {{"momentum", 0.9}, {"nesterov", 1}, {"weight_decay", 0.01}},
       2}};
  return cases;
}

std::vector<OpCase> adam_cases() {
  const CaseInput w = not_differentiated(weight({3, 37}));
  const CaseInput gradient = not_differentiated(floats({3, 37}));
  const CaseInput second = not_differentiated(weight({3, 37}, 0.1, 1));
  return {{"plain", {w, gradient, w, second, rate(0.01), rate(0.5)}, {}, 3},
          {"decay",
           {w, gradient, w, second, rate(0.01), rate(1)},
           {{"beta1", 0.8}, {"beta2", 0.99}, {"epsilon", 1e-6}, {"weight_decay", 0.05}},
           3}};
}

std::vector<OpCase> without_samples(std::vector<OpCase> cases) {
  for (OpCase& op_case : cases) op_case.samples = false;
  return cases;
}

}  // namespace

std::vector<OpCases> training_cases() {
  const CaseInput part = not_differentiated(floats({4, 5}));
  return {
      {"BatchNormalizationTraining", batch_norm_training_cases()},
      {"DropoutTraining",
       {{"half", {floats({5, 7})}, {{"ratio", 0.5}, {"stream", 3}}},
        {"images", {floats({2, 3, 5, 4})}, {{"ratio", 0.2}, {"stream", 1}}},
        {"blocks",
         {floats({6, 5})},
         {{"ratio", 0.3}, {"stream", 2}, {"block", 3}},
         1,
         1,
         {},
         false,
         false}}},
      {"CrossEntropy", cross_entropy_cases()},
      {"MeanSquaredError",
       {{"matrix", {floats({3, 5}), floats({3, 5})}},
        {"images", {floats({2, 3, 4, 5}), floats({2, 3, 4, 5})}}}},
      {"SumTo", sum_to_cases()},
      {"MatMulGradWeight", weight_gradient_cases()},
      {"ConvGradWeight", conv_gradient_cases()},
      {"GatherGrad", gather_gradient_cases()},
      {"SgdUpdate", without_samples(sgd_cases())},
      {"AdamUpdate", without_samples(adam_cases())},
      {"GlobalNormMultiplier",
       without_samples({{"clips", {part, part, part}, {{"max_norm", 0.5}}, 2},
                        {"leaves", {part}, {{"max_norm", 100.0}}, 2}})},
  };
}

}  // namespace batchwise::op_cases

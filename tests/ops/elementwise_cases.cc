// SPDX-License-Identifier: Apache-2.0
#include "op_case.h"

namespace batchwise::op_cases {
namespace {

// The ways in which two tensors broadcast.
std::vector<OpCase> binary_cases(double low = -1.5, double high = 1.5) {
  const auto x = [&](Shape shape) { return floats(std::move(shape), low, high); };
  const auto w = [&](Shape shape) { return weight(std::move(shape), low, high); };
  return {
      {"equal shapes", {x({3, 5}), x({3, 5})}},
      {"long rows", {x({4, 67}), x({4, 67})}},
      {"scalar", {x({3, 5}), w({})}},
      {"scalar first", {w({1}), x({3, 5})}},
      {"row", {x({3, 37}), w({37})}},
      {"row of rank 2", {x({3, 5}), w({1, 5})}},
      {"channel", {x({2, 3, 4, 5}), w({3, 1, 1})}},
      {"column", {x({3, 5}), x({3, 1})}},
      {"both ways", {x({3, 1, 4}), x({3, 5, 1})}},
      {"one sample", {x({1, 5}), w({1, 5})}},
  };
}

std::vector<OpCase> unary_cases(double low = -3, double high = 3) {
  return {{"matrix", {floats({3, 7}, low, high)}},
          {"images", {floats({2, 3, 5, 4}, low, high)}},
          {"more than a vector", {floats({1, 131}, low, high)}}};
}

std::vector<OpCase> with_attributes(std::vector<OpCase> cases, const Attributes& attributes) {
  for (OpCase& op_case : cases) {
    op_case.attributes = attributes;
    op_case.label += " {" + attributes.to_string() + "}";
  }
  return cases;
}

std::vector<OpCase> joined(std::vector<OpCase> first, const std::vector<OpCase>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

std::vector<OpCase> compare_cases() {
  return joined(binary_cases(),
                {{"integers", {integers({4}, {1, -2, 3, 4}), integers({4}, {1, 2, 3, -4})}}});
}

std::vector<OpCase> integer_cases() {
  return {{"int64", {integers({4}, {7, -8, 9, 10}), integers({4}, {2, 3, -4, 5})}},
          {"int32", {integers({2}, {7, -8}, DType::kInt32), integers({}, {3}, DType::kInt32)}}};
}

std::vector<OpCase> cast_cases() {
  const auto to = [](DType dtype) { return Attributes{{"to", static_cast<std::int64_t>(dtype)}}; };
  const CaseInput x = not_differentiated(floats({3, 5}, -40, 40));
  return {{"to float64", {floats({3, 5})}, to(DType::kFloat64)},
          {"to int64", {x}, to(DType::kInt64)},
          {"to int32", {x}, to(DType::kInt32)},
          {"to uint8", {not_differentiated(floats({3, 5}, 0, 255))}, to(DType::kUInt8)},
          {"to bool", {x}, to(DType::kBool)},
          {"from int64", {integers({3}, {-4, 5, 6})}, to(DType::kFloat32)},
          {"from uint8", {integers({3}, {0, 5, 255}, DType::kUInt8)}, to(DType::kFloat32)},
          {"from bool", {integers({3}, {0, 1, 1}, DType::kBool)}, to(DType::kFloat32)}};
}

std::vector<OpCase> clip_cases() {
  const CaseInput low = constant({}, -1, -1), high = constant({}, 1.25, 1.25);
  return {{"both bounds", {floats({3, 7}), low, high}},
          {"min", {floats({3, 7}), low}},
          {"max", {floats({2, 3, 4, 5}), absent(), high}},
          {"neither", {floats({3, 7})}}};
}

std::vector<OpCase> where_cases() {
  return {{"equal shapes",
           {integers({2, 3}, {1, 0, 0, 1, 1, 0}, DType::kBool), floats({2, 3}), floats({2, 3})}},
          {"broadcast", {integers({2, 1}, {1, 0}, DType::kBool), floats({2, 3}), weight({3})}}};
}

std::vector<OpCase> variadic_cases() {
  return {{"one", {floats({3, 5})}},
          {"two", {floats({3, 5}), floats({3, 5})}},
          {"three, broadcast", {floats({3, 5}), weight({5}), weight({})}}};
}

}  // namespace

std::vector<OpCases> elementwise_cases() {
  const Attributes tanh_gelu{{"approximate", std::string("tanh")}};
  return {
      {"Add", joined(binary_cases(), integer_cases())},
      {"Sub", joined(binary_cases(), integer_cases())},
      {"Mul", joined(binary_cases(), integer_cases())},
      {"Div", joined(binary_cases(0.5, 2), integer_cases())},
      {"Pow", binary_cases(0.5, 2)},
      {"Sqrt", unary_cases(0.1, 4)},
      {"Exp", unary_cases()},
      {"Log", unary_cases(0.1, 4)},
      {"Neg", unary_cases()},
      {"Abs", unary_cases()},
      {"Reciprocal", unary_cases(0.3, 4)},
      {"Sum", variadic_cases()},
      {"Max", variadic_cases()},
      {"Min", variadic_cases()},
      {"Greater", compare_cases()},
      {"Less", compare_cases()},
      {"Equal", compare_cases()},
      {"Where", where_cases()},
      {"Cast", cast_cases()},
      {"Identity", unary_cases()},
      {"Relu", unary_cases()},
      {"LeakyRelu", joined(unary_cases(), with_attributes(unary_cases(), {{"alpha", 0.25}}))},
      {"Clip", clip_cases()},
      {"Sigmoid", unary_cases(-9, 9)},
      {"Tanh", unary_cases()},
      {"Gelu", joined(unary_cases(), with_attributes(unary_cases(), tanh_gelu))},
      {"Erf", unary_cases()},
  };
}

}  // namespace batchwise::op_cases
